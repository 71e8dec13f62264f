#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <vector>

// These two need <cstddef> and <cstdio> before them, and this order.
#include <jpeglib.h>

#include <jerror.h>

#include "ocelli/base/error.h"
#include "ocelli/image/decoders.h"
#include "ocelli/image/exif.h"

namespace ocelli::image::detail {
namespace {

// Real progressive files have about ten scans, yet each costs a pass over all coefficients however few bytes it has. So
// their number is bounded, for large pictures by the pixels gone over.
constexpr int64_t kMaxScans = 500, kMaxScansOfAnySize = 40, kMaxScannedPixels = 4'000'000'000;

/// libjpeg's state and ours. libjpeg reports errors by a call that must not return; we longjmp out of it, so functions with a
/// setjmp, and everything they call, hold plain data only.
struct Reader {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

Reader& reader_of(j_common_ptr info) {
  return *static_cast<Reader*>(info->client_data);
}

[[noreturn]] void on_error(j_common_ptr info) {
  Reader& reader = reader_of(info);
  info->err->format_message(info, reader.message);
  std::longjmp(reader.escape, 1);
}

/// Level -1 is a warning: libjpeg goes on with made-up grey. Those that mean missing or broken pixels end the decode;
/// those about odd headers (stray bytes between segments, unknown JFIF version) are harmless and common.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      on_error(info);
    default:
      ++info->err->num_warnings;
  }
}

void on_progress(j_common_ptr info) {
  const auto& decompress = *reinterpret_cast<j_decompress_ptr>(info);
  const int64_t scans = decompress.input_scan_number;
  const int64_t pixels = std::max<int64_t>(1, static_cast<int64_t>(decompress.image_width) * decompress.image_height);
  const int64_t allowed = std::clamp(kMaxScannedPixels / pixels, kMaxScansOfAnySize, kMaxScans);
  if (scans <= allowed) return;
  Reader& reader = reader_of(info);
  std::snprintf(reader.message, sizeof reader.message, "more than %d scans; it would take too long to decode",
                static_cast<int>(allowed));
  std::longjmp(reader.escape, 1);
}

bool read_header(Reader& reader, const uint8_t* data, size_t size) {
  if (setjmp(reader.escape) != 0) return false;
  jpeg_create_decompress(&reader.info);
  reader.info.client_data = &reader;
  reader.info.progress = &reader.progress;
  jpeg_mem_src(&reader.info, data, size);
  jpeg_read_header(&reader.info, TRUE);
  return true;
}

/// Multiplies two values of [0, 255] as fractions, as Pillow's MULDIV255 rounds.
int multiply_255(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

/// Adobe's CMYK is stored inverted, and Pillow takes every four-channel JPEG for Adobe's. Each colour is what the ink lets
/// through: k - k * (1 - c).
void cmyk_to_rgb(const uint8_t* in, uint8_t* out, int64_t pixels) {
  for (int64_t i = 0; i < pixels; ++i, in += 4, out += 3) {
    const int k = in[3];
    for (int channel = 0; channel < 3; ++channel) {
      out[channel] = static_cast<uint8_t>(k - multiply_255(255 - in[channel], k));
    }
  }
}

/// `line`: a row of four-channel pixels, for CMYK; else null.
bool read_raster(Reader& reader, uint8_t* pixels, uint8_t* line) {
  if (setjmp(reader.escape) != 0) return false;
  jpeg_decompress_struct& info = reader.info;
  info.out_color_space = line != nullptr ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    uint8_t* target = pixels + static_cast<size_t>(info.output_scanline) * info.output_width * 3;
    JSAMPROW row = line != nullptr ? line : target;
    jpeg_read_scanlines(&info, &row, 1);
    if (line != nullptr) cmyk_to_rgb(line, target, info.output_width);
  }
  jpeg_finish_decompress(&info);
  return true;
}

/// Owns a Reader: everything libjpeg allocated goes with it, however far decoding came.
class Decompressor {
 public:
  Decompressor() {
    reader_.info.client_data = &reader_;
    reader_.info.err = jpeg_std_error(&reader_.errors);
    reader_.errors.error_exit = on_error;
    reader_.errors.emit_message = on_message;
    reader_.progress.progress_monitor = on_progress;
  }
  ~Decompressor() { jpeg_destroy_decompress(&reader_.info); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  Reader& reader() { return reader_; }

 private:
  Reader reader_{};
};

[[noreturn]] void fail_jpeg(const Request& request, const Reader& reader) {
  const int code = reader.errors.msg_code;
  if (code == JWRN_JPEG_EOF || code == JERR_INPUT_EOF || code == JERR_INPUT_EMPTY) {
    fail("{}: the JPEG is truncated: it ends after {} bytes, before its end marker", request.origin, request.size());
  }
  if (code == JERR_EMPTY_IMAGE) {
    fail("{}: JPEG of {} x {} pixels; each side must be at least 1", request.origin, reader.info.image_width,
         reader.info.image_height);
  }
  fail("{}: broken or unsupported JPEG: {}", request.origin, reader.message);
}

/// The EXIF block among the segments before the first scan; empty when there is none.
std::span<const uint8_t> find_exif(const Request& request) {
  const uint8_t* data = request.data();
  size_t at = 2;
  while (at + 4 <= request.size() && data[at] == 0xff) {
    const uint8_t marker = data[at + 1];
    if (marker == 0xff) {
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;
    const size_t length = data[at + 2] << 8 | data[at + 3];
    if (length < 2 || length > request.size() - at - 2) break;
    if (marker == 0xe1 && length >= 8 && std::memcmp(data + at + 4, "Exif\0\0", 6) == 0) {
      return {data + at + 4, length - 2};
    }
    at += 2 + length;
  }
  return {};
}

}  // namespace

Decoded decode_jpeg(const Request& request) {
  Decompressor decompressor;
  Reader& reader = decompressor.reader();
  if (!read_header(reader, request.data(), request.size())) fail_jpeg(request, reader);
  const jpeg_decompress_struct& info = reader.info;
  check_size(request, info.image_width, info.image_height);
  const int channels = info.num_components;
  require(channels == 1 || channels == 3 || channels == 4,
          "{}: JPEG of {} colour channels; supported are 1 (grey), 3 and 4 (CMYK)", request.origin, channels);

  Decoded decoded{.image = Image(info.image_width, info.image_height), .orientation = exif_orientation(find_exif(request))};
  std::vector<uint8_t> line(channels == 4 ? static_cast<size_t>(info.image_width) * 4 : 0);
  if (!read_raster(reader, decoded.image.pixels.data(), channels == 4 ? line.data() : nullptr)) fail_jpeg(request, reader);
  return decoded;
}

}  // namespace ocelli::image::detail
