#include "ocelli/image/image.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/image/decoders.h"
#include "ocelli/image/exif.h"

namespace ocelli::image {
namespace {

bool starts_with(const detail::Request& request, std::string_view magic, size_t at = 0) {
  return request.size() >= at + magic.size() && std::memcmp(request.data() + at, magic.data(), magic.size()) == 0;
}

/// What an undecodable file is, for the message; empty when that can't be told.
std::string_view name_of_other(const detail::Request& request) {
  using namespace std::string_view_literals;
  struct Magic {
    std::string_view bytes, name;
  };
  static constexpr Magic kMagics[] = {
      {"GIF87a"sv, "a GIF"},
      {"GIF89a"sv, "a GIF"},
      {"BM"sv, "a BMP"},
      {"II*\0"sv, "a TIFF"},
      {"MM\0*"sv, "a TIFF"},
      {"%PDF"sv, "a PDF"},
      {"\0\0\1\0"sv, "an ICO"},
      {"8BPS"sv, "a PSD"},
      {"\0\0\0\x0cjP  "sv, "a JPEG 2000"},
      {"\xff\x4f\xff\x51"sv, "a JPEG 2000"},
      {"\xff\x0a"sv, "a JPEG XL"},
      {"\0\0\0\x0cJXL "sv, "a JPEG XL"},
      {"version https://git-lfs"sv, "a Git LFS pointer, not the file itself"},
      {"PK\3\4"sv, "a ZIP archive"},
      {"\x1f\x8b"sv, "a gzip file"},
  };
  for (const Magic& magic : kMagics) {
    if (starts_with(request, magic.bytes)) return magic.name;
  }
  if (starts_with(request, "ftyp", 4)) {
    for (const std::string_view brand : {"heic", "heix", "hevc", "heim", "heis", "mif1", "msf1"}) {
      if (starts_with(request, brand, 8)) return "a HEIC";
    }
    if (starts_with(request, "avi", 8)) return "an AVIF";
    return "a video (MP4 family)";
  }
  // Markup, whatever stands before its root element.
  std::string head(reinterpret_cast<const char*>(request.data()), std::min<size_t>(request.size(), 1024));
  for (char& c : head) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  if (head.find("<svg") != head.npos) return "an SVG";
  if (head.find("<html") != head.npos || head.find("<!doctype html") != head.npos) return "an HTML page (a failed download?)";
  if (starts_with(request, "<?xml")) return "an XML file";
  return {};
}

[[noreturn]] void fail_unknown(const detail::Request& request) {
  if (request.size() == 0) fail("{}: the picture is empty (0 bytes); expected JPEG, PNG or WebP", request.origin);
  const std::string_view other = name_of_other(request);
  if (!other.empty()) fail("{}: is {}; pictures must be JPEG, PNG or WebP", request.origin, other);
  std::string start;
  for (size_t i = 0; i < std::min<size_t>(request.size(), 8); ++i) start += fmt::format(" {:02x}", request.data()[i]);
  fail("{}: no JPEG, PNG or WebP (it starts with the bytes{})", request.origin, start);
}

}  // namespace

namespace detail {

void check_size(const Request& request, int64_t width, int64_t height) {
  require(width > 0 && height > 0, "{}: {} x {} pixels; each side must be at least 1", request.origin, width, height);
  require(width <= request.options.max_pixels / height, "{}: {} x {} pixels is more than the limit of {} (max_pixels)",
          request.origin, width, height, request.options.max_pixels);
  require(std::max(width, height) <= request.options.max_side, "{}: {} x {} pixels has a side above the limit of {} (max_side)",
          request.origin, width, height, request.options.max_side);
}

}  // namespace detail

Image::Image(int64_t width, int64_t height) : width(width), height(height) {
  assert(width >= 0 && height >= 0);
  pixels.resize(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
}

Image decode(std::span<const std::byte> bytes, std::string_view origin, const DecodeOptions& options) {
  using namespace std::string_view_literals;
  const detail::Request request{bytes, origin, options};
  require(bytes.size() <= options.max_file_bytes, "{}: {} bytes is more than the limit of {} (max_file_bytes)", origin,
          bytes.size(), options.max_file_bytes);
  detail::Decoded decoded;
  if (starts_with(request, "\xff\xd8\xff"sv)) {
    decoded = detail::decode_jpeg(request);
  } else if (starts_with(request, "\x89PNG\r\n\x1a\n"sv)) {
    decoded = detail::decode_png(request);
  } else if (starts_with(request, "RIFF"sv) && starts_with(request, "WEBP"sv, 8)) {
    decoded = detail::decode_webp(request);
  } else {
    fail_unknown(request);
  }
  if (!options.apply_orientation) return std::move(decoded.image);
  return apply_orientation(std::move(decoded.image), decoded.orientation);
}

Image load(const std::filesystem::path& path, const DecodeOptions& options) {
  // Read rather than mapped: pictures come from other writers, and a mapped file cut short meanwhile would be a signal.
  const std::string contents = read_file(path, options.max_file_bytes);
  return decode(std::as_bytes(std::span(contents)), path.string(), options);
}

}  // namespace ocelli::image
