#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ocelli/image/image.h"

namespace ocelli::image::detail {

/// One picture to decode.
struct Request {
  std::span<const std::byte> bytes;
  std::string_view origin;
  const DecodeOptions& options;

  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(bytes.data()); }
  size_t size() const { return bytes.size(); }
};

/// A raster with the EXIF orientation (1 to 8) it was stored under.
struct Decoded {
  Image image;
  int orientation = 1;
};

Decoded decode_jpeg(const Request& request);
Decoded decode_png(const Request& request);
Decoded decode_webp(const Request& request);

/// Throws Error for a side of zero, a longer one or more pixels than the options allow. Called on the header's numbers, before
/// anything of their size is allocated.
void check_size(const Request& request, int64_t width, int64_t height);

/// One channel over white, rounded to nearest.
inline uint8_t over_white(uint8_t value, uint8_t alpha) {
  return static_cast<uint8_t>((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

}  // namespace ocelli::image::detail
