"""Writes rle.json: masks as pycocotools makes them of polygons and pixels, with area and box.

Run beside the file: python make_rle.py. Made with pycocotools 2.0.11, numpy 2.4.6, seed 1.
"""

import json
import random
from pathlib import Path

import numpy
from pycocotools import mask

random.seed(1)
cases = []


def add(height, width, polygons, rle):
    cases.append(
        {
            "size": [height, width],
            "polygons": polygons,
            "counts": rle["counts"].decode(),
            "pixels": numpy.packbits(mask.decode(rle).flatten(order="F")).tobytes().hex(),
            "area": int(mask.area(rle)),
            "box": [float(value) for value in mask.toBbox(rle)],
        }
    )


for number in range(60):
    height, width = random.randint(1, 60), random.randint(1, 60)
    polygons = []
    for _ in range(random.randint(1, 3)):
        corners = random.randint(3, 9)
        # Some leave the picture, some have whole numbers, some points come twice.
        points = [[random.uniform(-0.2, 1.2) * width, random.uniform(-0.2, 1.2) * height] for _ in range(corners)]
        if number % 3 == 0:
            points = [[float(round(x)), float(round(y))] for x, y in points]
        if number % 4 == 0:
            points.insert(1, list(points[0]))
        polygons.append([round(value, 2) for point in points for value in point])
    add(height, width, polygons, mask.merge(mask.frPyObjects(polygons, height, width)))
for number in range(20):
    height, width = random.randint(1, 40), random.randint(1, 40)
    pixels = numpy.array([[random.random() < number / 19 for _ in range(width)] for _ in range(height)], dtype=numpy.uint8)
    add(height, width, [], mask.encode(numpy.asfortranarray(pixels)))

lines = ",\n".join(json.dumps(case) for case in cases)
Path(__file__).with_name("rle.json").write_text(f"[\n{lines}\n]\n")
