#!/usr/bin/env python3
"""Makes the pictures of this folder and what Pillow decodes or resizes them to (X.ppm beside X).

Run with the pinned Pillow (13.0.0, numpy 2) from anywhere: make_testdata.py. Seed 7.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by PNG colour type
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_rows(samples, depth):
    """Unfiltered scanlines of samples [height, width, channels]."""
    height = samples.shape[0]
    flat = samples.reshape(height, -1)
    if depth == 16:
        rows = flat.astype(">u2").tobytes()
        rows = np.frombuffer(rows, np.uint8).reshape(height, -1)
    elif depth == 8:
        rows = flat.astype(np.uint8)
    else:
        bits = (flat[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def write_png(samples, color, depth, interlaced=False, palette=None, trns=None, before=b"", behind=b""):
    """A PNG of any form the format has. samples: integers [height, width, channels]; palette, trns: chunk contents;
    before, behind: whole chunks to put before and behind the pixels."""
    height, width, channels = samples.shape
    assert channels == CHANNELS[color]
    if interlaced:
        parts = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        data = b"".join(png_rows(part, depth) for part in parts if part.size)
    else:
        data = png_rows(samples, depth)
    out = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced))
    out += before
    if palette is not None:
        out += png_chunk(b"PLTE", palette)
    if trns is not None:
        out += png_chunk(b"tRNS", trns)
    return out + png_chunk(b"IDAT", zlib.compress(data)) + behind + png_chunk(b"IEND", b"")


def exif_block(orientation, big_endian=False, type=3):
    order, start = (">", b"MM\0*") if big_endian else ("<", b"II*\0")
    value = struct.pack(order + "HH", orientation, 0) if type == 3 else struct.pack(order + "I", orientation)
    return start + struct.pack(order + "IHHHI", 8, 1, 0x0112, type, 1) + value + bytes(4)


def picture(width, height, seed=7):
    """Smooth colours with some noise, so that JPEG keeps them and every pixel differs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 / max(1, width - 1), y * 255 / max(1, height - 1), 255 - (x + y) * 255 / max(1, width + height - 2)], 2)
    return np.clip(base + rng.integers(-20, 21, base.shape), 0, 255).astype(np.uint8)


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def ppm(image):
    return b"P6\n%d %d\n255\n" % image.size + image.convert("RGB").tobytes()


def main():
    folder = Path(__file__).resolve().parent
    rng = np.random.default_rng(7)
    width, height = 13, 9
    rgb = Image.fromarray(picture(width, height))
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)))
    palette = rng.integers(0, 256, 48, dtype=np.uint8).tobytes()
    samples = lambda channels, bits: rng.integers(0, 1 << bits, (height, width, channels))
    files = {
        "bilevel.png": write_png(samples(1, 1), 0, 1),
        "grey4_interlaced.png": write_png(samples(1, 4), 0, 4, interlaced=True),
        "grey16.png": write_png(samples(1, 16) >> rng.integers(0, 12, (height, width, 1)), 0, 16),
        "grey_alpha.png": write_png(samples(2, 8), 4, 8),
        "palette4_trns.png": write_png(samples(1, 4), 3, 4, palette=palette, trns=bytes([0, 128, 255, 7])),
        "rgb_interlaced.png": write_png(samples(3, 8), 2, 8, interlaced=True),
        "rgb16_trns.png": write_png(samples(3, 16), 2, 16, trns=struct.pack(">HHH", 1, 2, 3)),
        "rgba_interlaced.png": write_png(samples(4, 8), 6, 8, interlaced=True),
        "rgba16.png": write_png(samples(4, 16), 6, 16),
        "exif6_behind.png": write_png(samples(3, 8), 2, 8, behind=png_chunk(b"eXIf", exif_block(6))),
        "rgb.jpg": saved(rgb, "JPEG", quality=90),
        "grey_progressive.jpg": saved(rgb.convert("L"), "JPEG", progressive=True),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG", quality=95),
        "exif8.jpg": saved(rgb, "JPEG", quality=90, exif=b"Exif\0\0" + exif_block(8, big_endian=True)),
        "lossless.webp": saved(rgb, "WEBP", lossless=True),
        "lossy_alpha.webp": saved(rgba, "WEBP", quality=90),
        "animated.webp": saved(rgba, "WEBP", lossless=True, save_all=True, append_images=[rgba.rotate(180)]),
    }
    photo = Image.fromarray(picture(37, 23, seed=8))
    files["photo.png"] = saved(photo, "PNG")
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / f"{name}.ppm").write_bytes(ppm(Image.open(io.BytesIO(data))))
    for filter in ("nearest", "box", "bilinear", "bicubic", "lanczos"):
        for size in ((11, 29), (64, 7), (35, 18), (34, 17)):  # the last two: either side of the order of passes
            resized = photo.resize(size, getattr(Image.Resampling, filter.upper()))
            (folder / f"photo_{filter}_{size[0]}x{size[1]}.ppm").write_bytes(ppm(resized))


if __name__ == "__main__":
    main()
