#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ocelli/image/image.h"

namespace ocelli::image {

enum class Filter { kNearest, kBox, kBilinear, kBicubic, kLanczos };

/// Resizes as Pillow does (`Image.resize`): separable convolution whose support grows with the down-scale, horizontal
/// pass first (vertical first where the height shrinks by more than twice as many pixels, as of Pillow 13), 8-bit rounding
/// between the passes, fixed-point weights. Byte-equal to the pinned Pillow. Throws Error for a side below 1.
Image resize(const Image& source, int64_t width, int64_t height, Filter filter);

/// The rectangle [left, left + width) x [top, top + height); parts outside the picture are black, as in Pillow's crop.
Image crop(const Image& source, int64_t left, int64_t top, int64_t width, int64_t height);

/// The picture at (left, top) on a canvas of one colour. Throws Error when it does not fit.
Image pad(const Image& source, int64_t width, int64_t height, int64_t left, int64_t top, std::array<uint8_t, 3> colour);

/// Planar floats [3, height, width]: (pixel * scale - mean) / std, bit-equal to the Pillow processors of `transformers`
/// (`image_transforms.rescale`, then `normalize`): pixel * scale in float64 rounded to float32, the rest in float32. Give
/// `scale` as the double of the config: 1.0 / 255 and the nearest float differ in the last bit of the result.
/// `out` has 3 * width * height elements.
void normalize(const Image& source, std::array<float, 3> mean, std::array<float, 3> std, double scale, std::span<float> out);

}  // namespace ocelli::image
