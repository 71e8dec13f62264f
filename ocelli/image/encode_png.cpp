#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <new>

#include "ocelli/base/error.h"
#include "ocelli/image/image.h"

namespace ocelli::image {
namespace {

struct Sink {
  std::vector<std::byte>* bytes;
  char message[200] = {};
};

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
  auto& sink = *static_cast<Sink*>(png_get_error_ptr(png));
  std::snprintf(sink.message, sizeof sink.message, "%s", text);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_write(png_structp png, png_bytep data, size_t count) {
  auto& sink = *static_cast<Sink*>(png_get_io_ptr(png));
  bool grown = true;
  try {
    const auto* first = reinterpret_cast<const std::byte*>(data);
    sink.bytes->insert(sink.bytes->end(), first, first + count);
  } catch (const std::bad_alloc&) {
    grown = false;  // an exception must not cross libpng's C frames
  }
  if (!grown) png_error(png, "out of memory");
}

void on_flush(png_structp) {}

bool write_picture(png_structp png, png_infop info, Sink& sink, const Image& image) {
  if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, &sink, on_write, on_flush);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int64_t y = 0; y < image.height; ++y) png_write_row(png, image.row(y));
  png_write_end(png, info);
  return true;
}

}  // namespace

std::vector<std::byte> encode_png(const Image& image) {
  require(image.width > 0 && image.height > 0 && image.width <= PNG_UINT_31_MAX && image.height <= PNG_UINT_31_MAX,
          "encode_png: {} x {} pixels; each side must be in [1, 2^31)", image.width, image.height);
  std::vector<std::byte> bytes;
  Sink sink{.bytes = &bytes};
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &sink, on_error, on_warning);
  require(png != nullptr, "libpng: out of memory, or another version than the {} built against", PNG_LIBPNG_VER_STRING);
  png_infop info = png_create_info_struct(png);
  const bool written = write_picture(png, info, sink, image);
  png_destroy_write_struct(&png, &info);
  require(written, "encode_png: {}", sink.message);
  return bytes;
}

}  // namespace ocelli::image
