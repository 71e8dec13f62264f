#include <png.h>

#include <algorithm>
#include <cassert>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/image/decoders.h"
#include "ocelli/image/exif.h"

namespace ocelli::image::detail {
namespace {

/// Where libpng reads from and what it complained about. libpng leaves by longjmp, so functions with a setjmp, and the
/// callbacks, hold plain data only.
struct Source {
  const uint8_t* data;
  size_t size;
  size_t at = 0;
  bool ended = false;  ///< more was asked for than there is
  char message[200] = {};
};

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
  auto& source = *static_cast<Source*>(png_get_error_ptr(png));
  std::snprintf(source.message, sizeof source.message, "%s", text);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep out, size_t count) {
  auto& source = *static_cast<Source*>(png_get_io_ptr(png));
  if (count > source.size - source.at) {
    source.ended = true;
    png_error(png, "unexpected end of file");
  }
  std::memcpy(out, source.data + source.at, count);
  source.at += count;
}

/// Owns libpng's reader.
class PngReader {
 public:
  explicit PngReader(Source& source) : png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, on_error, on_warning)) {
    require(png_ != nullptr, "libpng: out of memory, or another version than the {} built against", PNG_LIBPNG_VER_STRING);
    info_ = png_create_info_struct(png_);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  png_structp png() const { return png_; }
  png_infop info() const { return info_; }

 private:
  png_structp png_;
  png_infop info_ = nullptr;
};

/// Reads up to the first pixel.
bool read_header(png_structp png, png_infop info, Source& source, const DecodeOptions& options) {
  if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_read_fn(png, &source, on_read);
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // Nothing beside the pixels is unpacked: profiles and texts are where small files grow large.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  // Sides are limited by check_size, chunks by the file's size.
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_chunk_cache_max(png, 16);
  png_set_chunk_malloc_max(png, std::min<uint64_t>(options.max_file_bytes, PNG_UINT_31_MAX));
  png_read_info(png, info);
  return true;
}

/// How rows come out of libpng: 3 channels, or 4 where alpha is wanted, of 8 or 16 bits.
struct RowFormat {
  bool alpha = false;
  bool saturate = false;  ///< 16 bits a channel, to be clipped at 255
  size_t channel_bytes() const { return saturate ? 2 : 1; }
  size_t pixel_bytes() const { return (alpha ? 4 : 3) * channel_bytes(); }
};

/// Asks libpng for `format`; returns the passes of an interlaced picture.
bool set_transforms(png_structp png, png_infop info, const DecodeOptions& options, RowFormat& format, int& passes) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  const int color = png_get_color_type(png, info);
  const bool deep = png_get_bit_depth(png, info) == 16;
  const bool transparent = (color & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(png, info, PNG_INFO_tRNS) != 0;
  format.alpha = transparent && options.alpha == DecodeOptions::Alpha::kWhite;
  // Pillow clips plain 16-bit grey, and takes the high byte of every other 16-bit form.
  const bool pillow = options.sixteen_bit == DecodeOptions::Deep::kSaturate;
  format.saturate = deep && pillow && color == PNG_COLOR_TYPE_GRAY;

  if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (color == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  if (format.alpha && (color & PNG_COLOR_MASK_ALPHA) == 0) png_set_tRNS_to_alpha(png);
  if (!format.alpha) png_set_strip_alpha(png);
  if (deep && !format.saturate) pillow ? png_set_strip_16(png) : png_set_scale_16(png);
  if ((color & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png);
  passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

/// One row as libpng gives it to RGB. 16 bits are big-endian.
void convert_row(const uint8_t* in, uint8_t* out, int64_t width, const RowFormat& format) {
  const size_t step = format.channel_bytes();
  for (int64_t x = 0; x < width; ++x, in += format.pixel_bytes(), out += 3) {
    uint8_t value[4];
    for (size_t channel = 0; channel < (format.alpha ? 4 : 3); ++channel) {
      const uint8_t* sample = in + channel * step;
      value[channel] = !format.saturate ? sample[0] : sample[0] == 0 ? sample[1] : 255;
    }
    for (int channel = 0; channel < 3; ++channel)
      out[channel] = format.alpha ? over_white(value[channel], value[3]) : value[channel];
  }
}

/// `buffer`: the rows before conversion, `stride` bytes apart (0: one row for all); null when they need none.
bool read_rows(png_structp png, int passes, int64_t width, int64_t height, uint8_t* pixels, uint8_t* buffer, size_t stride,
               const RowFormat& format) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  for (int pass = 0; pass < passes; ++pass) {
    for (int64_t y = 0; y < height; ++y) {
      uint8_t* target = pixels + y * width * 3;
      uint8_t* row = buffer != nullptr ? buffer + static_cast<size_t>(y) * stride : target;
      png_read_row(png, row, nullptr);
      if (buffer != nullptr && pass == passes - 1) convert_row(row, target, width, format);
    }
  }
  png_read_end(png, nullptr);
  return true;
}

uint32_t big_endian(const uint8_t* at) {
  return static_cast<uint32_t>(at[0]) << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

/// The eXIf chunk, before or behind the pixels; empty when there is none. Its checksum is libpng's to check.
std::span<const uint8_t> find_exif(const Request& request) {
  size_t at = 8;
  while (request.size() - at >= 12) {
    const uint8_t* chunk = request.data() + at;
    const size_t length = big_endian(chunk);
    if (length > request.size() - at - 12) break;
    if (std::memcmp(chunk + 4, "eXIf", 4) == 0) return {chunk + 8, length};
    at += length + 12;
  }
  return {};
}

[[noreturn]] void fail_png(const Request& request, const Source& source) {
  if (source.ended) {
    fail("{}: the PNG is truncated: it ends after {} bytes, before its IEND chunk", request.origin, request.size());
  }
  fail("{}: broken PNG: {}", request.origin, source.message);
}

}  // namespace

Decoded decode_png(const Request& request) {
  // libpng refuses a zero side too, but without saying which.
  if (request.size() >= 24 && std::memcmp(request.data() + 12, "IHDR", 4) == 0) {
    check_size(request, big_endian(request.data() + 16), big_endian(request.data() + 20));
  }
  Source source{.data = request.data(), .size = request.size()};
  const PngReader reader(source);
  const png_structp png = reader.png();
  if (!read_header(png, reader.info(), source, request.options)) fail_png(request, source);
  const int64_t width = png_get_image_width(png, reader.info()), height = png_get_image_height(png, reader.info());
  check_size(request, width, height);
  // Deflate packs at most 1032 to 1, so a header can be known to lie before its raster is allocated.
  const uint64_t raster = static_cast<uint64_t>(height) * png_get_rowbytes(png, reader.info());
  require(raster / 1032 <= request.size(), "{}: the PNG is truncated: {} bytes can't hold {} x {} pixels", request.origin,
          request.size(), width, height);

  RowFormat format;
  int passes = 1;
  if (!set_transforms(png, reader.info(), request.options, format, passes)) fail_png(request, source);
  const size_t row_bytes = png_get_rowbytes(png, reader.info());
  assert(row_bytes == static_cast<size_t>(width) * format.pixel_bytes());

  Decoded decoded{.image = Image(width, height), .orientation = exif_orientation(find_exif(request))};
  // An interlaced picture comes in several passes over all rows; else one row at a time is enough.
  const bool convert = format.alpha || format.saturate;
  const size_t stride = passes > 1 ? row_bytes : 0;
  std::vector<uint8_t> buffer(!convert ? 0 : passes > 1 ? row_bytes * height : row_bytes);
  if (!read_rows(png, passes, width, height, decoded.image.pixels.data(), convert ? buffer.data() : nullptr, stride, format)) {
    fail_png(request, source);
  }
  return decoded;
}

}  // namespace ocelli::image::detail
