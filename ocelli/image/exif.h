#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ocelli/image/image.h"

namespace ocelli::image {

/// The orientation, 1 to 8, an EXIF block (a TIFF header and its first directory, with or without "Exif\0\0" before it) asks
/// for. 1, as stored, when the block is broken, has none or names another value: cameras and editors write many such.
/// Source: EXIF 2.32, section 4.6.4, tag 0x0112.
int exif_orientation(std::span<const uint8_t> block);

/// The picture turned and mirrored so that it shows upright, as Pillow's `ImageOps.exif_transpose` does.
Image apply_orientation(Image image, int orientation);

}  // namespace ocelli::image
