#include "ocelli/image/exif.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ocelli::image {
namespace {

/// Unsigned numbers of either byte order; the caller checks the range.
class TiffReader {
 public:
  TiffReader(std::span<const uint8_t> bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}

  bool has(size_t at, size_t count) const { return at <= bytes_.size() && count <= bytes_.size() - at; }
  uint32_t u16(size_t at) const {
    const uint32_t a = bytes_[at], b = bytes_[at + 1];
    return big_endian_ ? a << 8 | b : b << 8 | a;
  }
  uint32_t u32(size_t at) const { return big_endian_ ? u16(at) << 16 | u16(at + 2) : u16(at + 2) << 16 | u16(at); }

 private:
  std::span<const uint8_t> bytes_;
  bool big_endian_;
};

constexpr uint32_t kOrientationTag = 0x0112, kShort = 3, kLong = 4;

}  // namespace

int exif_orientation(std::span<const uint8_t> block) {
  if (block.size() >= 6 && std::memcmp(block.data(), "Exif\0\0", 6) == 0) block = block.subspan(6);
  if (block.size() < 8) return 1;
  const bool big_endian = block[0] == 'M';
  const TiffReader tiff(block, big_endian);
  if (block[0] != block[1] || (!big_endian && block[0] != 'I') || tiff.u16(2) != 42) return 1;

  const size_t directory = tiff.u32(4);
  if (!tiff.has(directory, 2)) return 1;
  const size_t entries = tiff.u16(directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * 12;
    if (!tiff.has(entry, 12)) return 1;
    if (tiff.u16(entry) != kOrientationTag) continue;
    const uint32_t type = tiff.u16(entry + 2);
    if ((type != kShort && type != kLong) || tiff.u32(entry + 4) != 1) return 1;
    const uint32_t value = type == kShort ? tiff.u16(entry + 8) : tiff.u32(entry + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  // Every orientation reads source pixel (x, y) at start + x * step_x + y * step_y of the turned picture's x and y.
  const int64_t width = image.width, height = image.height;
  const bool swapped = orientation >= 5;
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  int64_t step_x = flip_x ? -3 : 3;
  int64_t step_y = flip_y ? -3 * width : 3 * width;
  const uint8_t* start = image.pixels.data() + (flip_x ? 3 * (width - 1) : 0) + (flip_y ? 3 * width * (height - 1) : 0);
  if (swapped) std::swap(step_x, step_y);

  Image turned(swapped ? height : width, swapped ? width : height);
  // Squares, because a transposed walk over whole rows would miss the cache at every pixel.
  constexpr int64_t kSquare = 64;
  for (int64_t top = 0; top < turned.height; top += kSquare) {
    for (int64_t left = 0; left < turned.width; left += kSquare) {
      const int64_t bottom = std::min(top + kSquare, turned.height), right = std::min(left + kSquare, turned.width);
      for (int64_t y = top; y < bottom; ++y) {
        uint8_t* out = turned.row(y) + left * 3;
        const uint8_t* in = start + left * step_x + y * step_y;
        for (int64_t x = left; x < right; ++x, out += 3, in += step_x) std::memcpy(out, in, 3);
      }
    }
  }
  return turned;
}

}  // namespace ocelli::image
