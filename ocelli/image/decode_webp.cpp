#include <webp/decode.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/image/decoders.h"
#include "ocelli/image/exif.h"

namespace ocelli::image::detail {
namespace {

uint32_t little_endian(const uint8_t* at, int count) {
  uint32_t value = 0;
  for (int i = count; i-- > 0;) value = value << 8 | at[i];
  return value;
}

/// The payload of the first `name` chunk in a list of RIFF chunks; empty when there is none.
std::span<const uint8_t> find_chunk(std::span<const uint8_t> list, const char* name) {
  while (list.size() >= 8) {
    const size_t length = little_endian(list.data() + 4, 4);
    if (length > list.size() - 8) break;
    if (std::memcmp(list.data(), name, 4) == 0) return list.subspan(8, length);
    list = list.subspan(std::min(list.size(), 8 + length + (length & 1)));
  }
  return {};
}

/// Decodes one still picture into `pixels`, `channels` (3 or 4) bytes each and rows `stride` bytes apart.
void decode_still(const Request& request, std::span<const uint8_t> bytes, int64_t width, int64_t height, uint8_t* pixels,
                  int channels, int64_t stride) {
  WebPDecoderConfig config;
  require(WebPInitDecoderConfig(&config) != 0, "libwebp: another version than the one built against");
  config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = pixels;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size = static_cast<size_t>((height - 1) * stride + width * channels);
  const VP8StatusCode status = WebPDecode(bytes.data(), bytes.size(), &config);
  switch (status) {
    case VP8_STATUS_OK:
      return;
    case VP8_STATUS_OUT_OF_MEMORY:
      fail("{}: out of memory in libwebp for {} x {} pixels", request.origin, width, height);
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
      fail("{}: the WebP is truncated: its pixels end early", request.origin);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      fail("{}: the WebP uses a feature this libwebp doesn't know", request.origin);
    default:
      fail("{}: broken WebP: libwebp status {}", request.origin, static_cast<int>(status));
  }
}

/// A rectangle of `canvas` filled from a picture with or without alpha.
void decode_onto(const Request& request, std::span<const uint8_t> bytes, Image& canvas, int64_t left, int64_t top) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(bytes.data(), bytes.size(), &features);
  require(status != VP8_STATUS_NOT_ENOUGH_DATA, "{}: the WebP is truncated in its header", request.origin);
  require(status == VP8_STATUS_OK, "{}: broken WebP header (libwebp status {})", request.origin, static_cast<int>(status));
  const int64_t width = features.width, height = features.height;
  require(left + width <= canvas.width && top + height <= canvas.height,
          "{}: WebP frame of {} x {} at ({}, {}) is outside its canvas of {} x {}", request.origin, width, height, left, top,
          canvas.width, canvas.height);
  if (features.has_alpha == 0 || request.options.alpha == DecodeOptions::Alpha::kDrop) {
    decode_still(request, bytes, width, height, canvas.row(top) + left * 3, 3, canvas.width * 3);
    return;
  }
  std::vector<uint8_t> rgba(static_cast<size_t>(width) * height * 4);
  decode_still(request, bytes, width, height, rgba.data(), 4, width * 4);
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* in = rgba.data() + y * width * 4;
    uint8_t* out = canvas.row(top + y) + left * 3;
    for (int64_t x = 0; x < width; ++x, in += 4, out += 3) {
      for (int channel = 0; channel < 3; ++channel) out[channel] = over_white(in[channel], in[3]);
    }
  }
}

constexpr size_t kFrameHeader = 16;
constexpr uint8_t kAnimation = 2;

/// The first frame of an animation, on the canvas the whole animation has. Around it the canvas is transparent.
/// Source: WebP container specification, "Animation".
Image decode_first_frame(const Request& request, std::span<const uint8_t> chunks, int64_t width, int64_t height) {
  const std::span<const uint8_t> frame = find_chunk(chunks, "ANMF");
  require(frame.size() > kFrameHeader, "{}: the animated WebP has no whole first frame", request.origin);
  Image canvas(width, height);
  if (request.options.alpha == DecodeOptions::Alpha::kWhite) std::fill(canvas.pixels.begin(), canvas.pixels.end(), uint8_t{255});
  const int64_t left = 2 * static_cast<int64_t>(little_endian(frame.data(), 3));
  const int64_t top = 2 * static_cast<int64_t>(little_endian(frame.data() + 3, 3));
  decode_onto(request, frame.subspan(kFrameHeader), canvas, left, top);
  return canvas;
}

}  // namespace

Decoded decode_webp(const Request& request) {
  const std::span<const uint8_t> bytes(request.data(), request.size());
  const uint64_t declared = uint64_t{8} + little_endian(request.data() + 4, 4);
  require(declared <= bytes.size(), "{}: the WebP is truncated: {} bytes, its header says {}", request.origin, bytes.size(),
          declared);
  require(declared >= 20, "{}: the WebP has no picture ({} bytes)", request.origin, declared);
  const std::span<const uint8_t> chunks = bytes.subspan(12, declared - 12);

  Decoded decoded{.image = Image(), .orientation = exif_orientation(find_chunk(chunks, "EXIF"))};
  const std::span<const uint8_t> extended = find_chunk(chunks, "VP8X");
  if (extended.size() >= 10 && (extended[0] & kAnimation) != 0) {
    const int64_t width = 1 + static_cast<int64_t>(little_endian(extended.data() + 4, 3));
    const int64_t height = 1 + static_cast<int64_t>(little_endian(extended.data() + 7, 3));
    check_size(request, width, height);
    decoded.image = decode_first_frame(request, chunks, width, height);
    return decoded;
  }
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(bytes.data(), bytes.size(), &features);
  require(status == VP8_STATUS_OK, "{}: broken WebP header (libwebp status {})", request.origin, static_cast<int>(status));
  check_size(request, features.width, features.height);
  decoded.image = Image(features.width, features.height);
  decode_onto(request, bytes, decoded.image, 0, 0);
  return decoded;
}

}  // namespace ocelli::image::detail
