"""How published systems cut and resize pictures, plainly: sizes in Python arithmetic, pixels by Pillow.

Of systems that `transformers` has no Pillow processor for, and of the original code where it differs from `transformers`.
Pictures are PIL images, sizes (width, height), grids (columns, rows). Views come in the order in which the tower gets them.
"""

import math

from PIL import Image

BICUBIC = Image.Resampling.BICUBIC
BILINEAR = Image.Resampling.BILINEAR


# LLaVA 1.5 and 1.6, original code (llava/mm_utils.py, llava/model/llava_arch.py)


def expand_to_square(picture, colour):
    width, height = picture.size
    if width == height:
        return picture
    side = max(width, height)
    square = Image.new("RGB", (side, side), colour)
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def pad(picture, side, colour):
    return expand_to_square(picture, colour).resize((side, side), BICUBIC)


def best_canvas(size, candidates):
    """The (width, height) of those that keeps most pixels; of these the one that wastes least; of these the first."""
    width, height = size
    best, most, least = None, 0, float("inf")
    for canvas_width, canvas_height in candidates:
        scale = min(canvas_width / width, canvas_height / height)
        used = min(int(width * scale) * int(height * scale), width * height)
        wasted = canvas_width * canvas_height - used
        if used > most or (used == most and wasted < least):
            best, most, least = (canvas_width, canvas_height), used, wasted
    return best


def size_on_canvas(size, canvas):
    width, height = size
    by_width, by_height = canvas[0] / width, canvas[1] / height
    if by_width < by_height:
        return canvas[0], min(math.ceil(height * by_width), canvas[1])
    return min(math.ceil(width * by_height), canvas[0]), canvas[1]


def anyres(picture, candidates, side):
    canvas = best_canvas(picture.size, candidates)
    width, height = size_on_canvas(picture.size, canvas)
    padded = Image.new("RGB", canvas, (0, 0, 0))
    padded.paste(picture.resize((width, height), BICUBIC), ((canvas[0] - width) // 2, (canvas[1] - height) // 2))
    return [picture.resize((side, side), BICUBIC)] + tiles(padded, side, side)


def unpadded(grid, size):
    """(columns, rows) kept of the feature grid, by int()."""
    columns, rows = grid
    width, height = size
    if width / height > columns / rows:
        kept = int(height * (columns / width))
        return columns, rows - 2 * ((rows - kept) // 2)
    kept = int(width * (rows / height))
    return columns - 2 * ((columns - kept) // 2), rows


def tiles(picture, width, height):
    return [
        picture.crop((x, y, x + width, y + height)) for y in range(0, picture.height, height) for x in range(0, picture.width, width)
    ]


# InternVL, original code (internvl/train/dataset.py)


def internvl_grid(size, least, most, side):
    width, height = size
    aspect = width / height
    grids = {(i, j) for n in range(least, most + 1) for i in range(1, n + 1) for j in range(1, n + 1) if least <= i * j <= most}
    best, nearest = (1, 1), float("inf")
    for grid in sorted(grids, key=lambda g: g[0] * g[1]):
        distance = abs(aspect - grid[0] / grid[1])
        if distance < nearest:
            best, nearest = grid, distance
        elif distance == nearest and width * height > 0.5 * side * side * grid[0] * grid[1]:
            best = grid
    return best


def internvl(picture, least, most, side, thumbnail=True):
    columns, rows = internvl_grid(picture.size, least, most, side)
    views = tiles(picture.resize((side * columns, side * rows)), side, side)
    if thumbnail and len(views) != 1:
        views.append(picture.resize((side, side)))
    return views


# MiniCPM-V 2 (finetune/dataset.py, slice_image)


def divisible(length, by):
    return max(round(length / by) * by, by)


def best_resize(size, scale, patch, upscale):
    width, height = size
    if width * height > scale * scale or upscale:
        ratio = width / height
        height = int(scale / math.sqrt(ratio))
        width = int(height * ratio)
    return divisible(width, patch), divisible(height, patch)


def uhd_sizes(size, most, scale, patch):
    """Overview's size, grid or None, a slice's size or None."""
    width, height = size
    wanted = min(math.ceil(width * height / (scale * scale)), most)
    if wanted <= 1:
        return best_resize(size, scale, patch, True), None, None
    grids = []
    for n in (wanted - 1, wanted, wanted + 1):
        if n != 1 and n <= most:
            grids += [(m, n // m) for m in range(1, n + 1) if n % m == 0]
    grid = min(grids, key=lambda g: abs(math.log(width / height) - math.log(g[0] / g[1])))  # min: the first of equals
    cell = divisible(width, grid[0]) / grid[0], divisible(height, grid[1]) / grid[1]
    return best_resize(size, scale, patch, False), grid, best_resize(cell, scale, patch, True)


def uhd(picture, most, scale, patch):
    overview, grid, cell = uhd_sizes(picture.size, most, scale, patch)
    views = [picture.resize(overview, BICUBIC)]
    if grid:
        views += tiles(picture.resize((cell[0] * grid[0], cell[1] * grid[1]), BICUBIC), *cell)
    return views


# DeepSeek-VL, original code (deepseek_vl/models/image_processing_vlm.py)


def deepseek_size(size, side, least):
    width, height = size
    longest = max(width, height)
    return max(int(width / longest * side), least), max(int(height / longest * side), least)


def deepseek(picture, side, colour, least=14):
    return expand_to_square(picture.resize(deepseek_size(picture.size, side, least), BICUBIC), colour)


# SAM's ResizeLongestSide, as NExT-Chat uses it (mllm/models/sam/transforms.py)


def sam_size(size, side):
    scale = side * 1.0 / max(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)
