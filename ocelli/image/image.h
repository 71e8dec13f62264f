#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace ocelli::image {

/// RGB pixels, 8 bit, rows from the top, interleaved: pixels[(y * width + x) * 3 + channel].
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> pixels;

  Image() = default;
  Image(int64_t width, int64_t height);  ///< black
  uint8_t* row(int64_t y) { return pixels.data() + y * width * 3; }
  const uint8_t* row(int64_t y) const { return pixels.data() + y * width * 3; }
};

/// Rows and columns of patches or tiles.
struct Grid {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t count() const { return rows * columns; }
  friend bool operator==(const Grid&, const Grid&) = default;
};

/// How a picture file becomes RGB. Defaults are ours; the neutral values are Pillow's `Image.open(f).convert("RGB")`.
struct DecodeOptions {
  bool apply_orientation = true;  ///< EXIF orientation; neutral: false
  enum class Alpha { kWhite, kDrop };
  Alpha alpha = Alpha::kWhite;  ///< composite on white, or drop the channel (Pillow)
  enum class Deep { kScale, kSaturate };
  /// 16 bits to 8: divide by 257 and round, or as Pillow: clip plain grey at 255, of all else take the high byte.
  Deep sixteen_bit = Deep::kScale;
  // Both are checked on the header, before the raster is allocated. A side bounds what resizing sets up for each line.
  int64_t max_pixels = 50'000'000;
  int64_t max_side = 65'535;  ///< JPEG's own limit
  uint64_t max_file_bytes = 64ULL << 20;

  static DecodeOptions pillow() { return {.apply_orientation = false, .alpha = Alpha::kDrop, .sixteen_bit = Deep::kSaturate}; }
};

/// Decodes JPEG, PNG or WebP, told apart by content. Throws Error naming `origin` and what is wrong: an unknown
/// format, truncated or broken data, zero size, more than max_pixels or max_side. Thread-safe.
/// CMYK is taken for Adobe's inverted one and 16-bit colour is cut to 8 without a profile, as Pillow does. Of an animation
/// (WebP, APNG) the first frame. Beside the EXIF orientation nothing but pixels is read: no profiles, no texts.
/// With DecodeOptions::pillow() PNG is byte-equal to the pinned Pillow, JPEG and WebP equal or within one level.
Image decode(std::span<const std::byte> bytes, std::string_view origin, const DecodeOptions& options = {});
/// decode() of a file's bytes, named by its path.
Image load(const std::filesystem::path& path, const DecodeOptions& options = {});

/// PNG bytes of the picture (for reports and prepared data sets).
std::vector<std::byte> encode_png(const Image& image);

}  // namespace ocelli::image
