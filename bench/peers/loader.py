"""What bench/loader compares with: one JSON line with pictures a second and versions. The clock starts behind a warm-up of `WARM` pictures.

  loader.py decode FOLDER WORKERS WARM             as many processes, each decoding its share of FOLDER/images at full size, and nothing else
  loader.py dataloader FOLDER MODEL WORKERS WARM   DataLoader over FOLDER/data.json: Pillow, MODEL's image processor and tokenizer
  loader.py webdataset SHARDS MODEL WORKERS WARM   webdataset over SHARDS/*.tar: Pillow, MODEL's image processor and tokenizer
"""
import io
import json
import multiprocessing
import pathlib
import sys
import time

import PIL
from PIL import Image, features


def report(pictures, seconds, **more):
    versions = {"pillow": PIL.__version__, "libjpeg_turbo": features.version_feature("libjpeg_turbo"), **more}
    print(json.dumps({"pictures_per_second": pictures / seconds, "pictures": pictures, "seconds": seconds, "versions": versions}))


def decode(path):
    with Image.open(path) as picture:
        return picture.convert("RGB")


PASSES = 4  # over the files when they are only decoded: one would be over in half a second


def decode_share(paths, warm, barrier):
    for path in paths[:warm]:
        decode(path)
    barrier.wait()
    for path in paths * PASSES:
        decode(path)
    barrier.wait()


def decoders(folder, workers, warm):
    paths = sorted(folder.glob("images/*"))
    barrier = multiprocessing.Barrier(workers + 1)
    processes = [multiprocessing.Process(target=decode_share, args=(paths[i::workers], warm // workers, barrier)) for i in range(workers)]
    for process in processes:
        process.start()
    barrier.wait()
    begin = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - begin
    for process in processes:
        process.join()
    report(PASSES * len(paths), seconds)


class Prepare:
    """One sample as a model is fed: pixels by the image processor, ids of the text. Placeholders are not even expanded."""

    def __init__(self, model):
        from transformers import AutoImageProcessor, AutoTokenizer
        self.images = AutoImageProcessor.from_pretrained(model, backend="pil")
        self.tokenizer = AutoTokenizer.from_pretrained(model)

    def __call__(self, picture, turns):
        pixels = self.images(picture, return_tensors="pt")["pixel_values"]
        text = f"USER: {turns[0]['value']} ASSISTANT: {turns[1]['value']}"
        return pixels, self.tokenizer(text, return_tensors="pt")["input_ids"]


class Samples:
    def __init__(self, folder, prepare):
        self.folder, self.prepare = folder, prepare
        self.records = json.loads((folder / "data.json").read_text())

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        record = self.records[index]
        return self.prepare(decode(self.folder / "images" / record["image"]), record["conversations"])


class Order:
    """A sampler whose epochs can be cut short: the warm-up's workers are those that are timed."""

    def __init__(self, indices):
        self.indices = indices

    def __iter__(self):
        return iter(self.indices)

    def __len__(self):
        return len(self.indices)


def torch_versions():
    import torch
    import transformers
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def dataloader(folder, model, workers, warm):
    from torch.utils.data import DataLoader
    samples = Samples(folder, Prepare(model))
    order = Order(range(warm))
    loader = DataLoader(samples, batch_size=8, sampler=order, num_workers=workers, collate_fn=list, persistent_workers=True)
    for _ in loader:
        pass
    order.indices = range(len(samples))
    begin = time.perf_counter()
    pictures = sum(len(batch) for batch in loader)
    report(pictures, time.perf_counter() - begin, **torch_versions())


def member(sample):
    """A sample of a shard as (encoded picture, turns)."""
    record = json.loads(sample["json"])
    return next(sample[key] for key in ("jpg", "jpeg") if key in sample), record["conversations"]


def shards(folder, model, workers, warm):
    import webdataset
    prepare = Prepare(model)

    def prepared(sample):
        encoded, turns = member(sample)
        return prepare(Image.open(io.BytesIO(encoded)).convert("RGB"), turns)

    names = sorted(map(str, folder.glob("*.tar")))
    dataset = webdataset.WebDataset(names, shardshuffle=False).map(prepared)
    loader = webdataset.WebLoader(dataset, batch_size=None, num_workers=workers)
    seen = 0
    for _ in loader:
        seen += 1
        if seen == warm:
            begin = time.perf_counter()
    report(seen - warm, time.perf_counter() - begin, webdataset=webdataset.__version__, **torch_versions())


def main():
    what, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    *model, workers, warm = sys.argv[3:]
    {"decode": decoders, "dataloader": dataloader, "webdataset": shards}[what](folder, *model, int(workers), int(warm))


if __name__ == "__main__":
    main()
