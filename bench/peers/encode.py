"""transformers from a picture file to visual tokens: one JSON line with milliseconds of decoding, preprocessing and encoding, the time of
the tower's and connector's matrix products alone, and the peak resident size.

  encode.py MODEL IMAGE REPEATS THREADS
"""
import json
import resource
import statistics
import sys
import time

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText


def measured(work, repeats):
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append((time.perf_counter() - begin) * 1000)
    return {"median": statistics.median(times), "min": min(times), "max": max(times)}


def products_alone(model, run, repeats):
    """The same linears and convolutions on inputs of the same shapes, one after the other, and nothing between them."""
    calls = []

    def note(module, inputs, _):
        calls.append((module, torch.randn_like(inputs[0])))

    hooks = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))]
    run()
    for hook in hooks:
        hook.remove()

    def work():
        for module, x in calls:
            module(x)

    return measured(work, repeats)


def main():
    folder, image, repeats, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    images = AutoImageProcessor.from_pretrained(folder, use_fast=False)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        decode = measured(lambda: Image.open(image).convert("RGB"), repeats)
        picture = Image.open(image).convert("RGB")
        preprocess = measured(lambda: images(picture, return_tensors="pt"), repeats)
        pixels = images(picture, return_tensors="pt")["pixel_values"]
        run = lambda: model.get_image_features(pixel_values=pixels)
        encode = measured(run, repeats)
        products = products_alone(model, run, repeats)
    print(json.dumps({"decode_ms": decode, "preprocess_ms": preprocess, "encode_ms": encode, "products_ms": products,
                      "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                      "torch": torch.__version__}))


if __name__ == "__main__":
    main()
