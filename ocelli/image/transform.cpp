#include "ocelli/image/transform.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "ocelli/base/error.h"

namespace ocelli::image {

Image crop(const Image& source, int64_t left, int64_t top, int64_t width, int64_t height) {
  require(width >= 0 && height >= 0, "crop: {} x {} pixels; sides must not be negative", width, height);
  if (left >= 0 && top >= 0 && left <= source.width - width && top <= source.height - height) {
    Image inside;  // rows are put behind each other: no black is written first
    inside.width = width;
    inside.height = height;
    inside.pixels.reserve(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
    for (int64_t y = top; y < top + height; ++y) {
      const uint8_t* row = source.row(y) + left * 3;
      inside.pixels.insert(inside.pixels.end(), row, row + width * 3);
    }
    return inside;
  }
  Image out(width, height);
  // What lies in both, in the source's coordinates.
  const int64_t first_x = std::clamp<int64_t>(left, 0, source.width), last_x = std::clamp<int64_t>(left + width, 0, source.width);
  const int64_t first_y = std::clamp<int64_t>(top, 0, source.height);
  const int64_t last_y = std::clamp<int64_t>(top + height, 0, source.height);
  if (first_x >= last_x) return out;
  for (int64_t y = first_y; y < last_y; ++y) {
    std::memcpy(out.row(y - top) + (first_x - left) * 3, source.row(y) + first_x * 3, static_cast<size_t>(last_x - first_x) * 3);
  }
  return out;
}

Image pad(const Image& source, int64_t width, int64_t height, int64_t left, int64_t top, std::array<uint8_t, 3> colour) {
  require(left >= 0 && top >= 0 && left <= width - source.width && top <= height - source.height,
          "pad: {} x {} pixels at ({}, {}) don't fit a canvas of {} x {}", source.width, source.height, left, top, width, height);
  Image out(width, height);
  if (colour != std::array<uint8_t, 3>{}) {
    for (size_t i = 0; i < out.pixels.size(); i += 3) std::memcpy(out.pixels.data() + i, colour.data(), 3);
  }
  for (int64_t y = 0; y < source.height; ++y) {
    std::memcpy(out.row(top + y) + left * 3, source.row(y), static_cast<size_t>(source.width) * 3);
  }
  return out;
}

void normalize(const Image& source, std::array<float, 3> mean, std::array<float, 3> std, double scale, std::span<float> out) {
  const size_t plane = static_cast<size_t>(source.width) * static_cast<size_t>(source.height);
  assert(out.size() == 3 * plane);
  // 256 values a channel are all there can be. One rounding to float32 after the product with the scale, as
  // transformers' rescale does it in float64, then float32.
  std::array<std::array<float, 256>, 3> table;
  for (size_t channel = 0; channel < 3; ++channel) {
    for (size_t value = 0; value < 256; ++value) {
      const float rescaled = static_cast<float>(static_cast<double>(value) * scale);
      table[channel][value] = (rescaled - mean[channel]) / std[channel];
    }
  }
  const uint8_t* in = source.pixels.data();
  float* red = out.data();
  float* green = red + plane;
  float* blue = green + plane;
  for (size_t i = 0; i < plane; ++i, in += 3) {
    red[i] = table[0][in[0]];
    green[i] = table[1][in[1]];
    blue[i] = table[2][in[2]];
  }
}

}  // namespace ocelli::image
