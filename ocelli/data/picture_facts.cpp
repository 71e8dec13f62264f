#include "ocelli/data/picture_facts.h"

#include <xxhash.h>

#include <algorithm>
#include <span>

#include "ocelli/base/error.h"
#include "ocelli/data/perceptual_hash.h"

namespace ocelli::data {
namespace {

/// The kind a suffix stands for; empty for none that is known.
std::string_view kind_of_suffix(std::string suffix) {
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (suffix == ".jpg" || suffix == ".jpeg" || suffix == ".jpe" || suffix == ".jfif") return "JPEG";
  if (suffix == ".png") return "PNG";
  if (suffix == ".webp") return "WebP";
  if (suffix == ".gif") return "GIF";
  if (suffix == ".bmp") return "BMP";
  if (suffix == ".tif" || suffix == ".tiff") return "TIFF";
  return {};
}

}  // namespace

std::string_view picture_kind(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xD8\xFF")) return "JPEG";
  if (bytes.starts_with("\x89PNG\r\n\x1A\n")) return "PNG";
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return "WebP";
  if (bytes.starts_with("GIF8")) return "GIF";
  if (bytes.starts_with("BM")) return "BMP";
  if (bytes.starts_with(std::string_view("II*\0", 4)) || bytes.starts_with(std::string_view("MM\0*", 4))) return "TIFF";
  return {};
}

double PictureFacts::aspect() const {
  const int64_t shorter = std::min(width, height);
  return shorter == 0 ? 0 : static_cast<double>(std::max(width, height)) / static_cast<double>(shorter);
}

bool PictureFacts::wrong_suffix() const {
  const std::string_view said = kind_of_suffix(std::filesystem::path(name).extension().string());
  return !said.empty() && !kind.empty() && said != kind;
}

PictureFacts look_at(const Picture& picture, const image::DecodeOptions& options) {
  PictureFacts facts;
  facts.name = picture.name();
  std::shared_ptr<const std::string> bytes;
  try {
    bytes = picture.encoded(options.max_file_bytes);
  } catch (const Error& error) {
    // A file above max_file_bytes is there, only too large.
    std::error_code ignored;
    const bool there = picture.bytes || std::filesystem::is_regular_file(picture.path, ignored);
    facts.state = there ? PictureFacts::State::kBroken : PictureFacts::State::kMissing;
    facts.fault = error.what();
    return facts;
  }
  facts.bytes_hash = XXH3_64bits(bytes->data(), bytes->size());
  facts.kind = picture_kind(*bytes);
  try {
    const image::Image pixels = image::decode(std::as_bytes(std::span(*bytes)), facts.name, options);
    facts.width = pixels.width;
    facts.height = pixels.height;
    facts.hash = difference_hash(pixels);
  } catch (const Error& error) {
    facts.state = PictureFacts::State::kBroken;
    facts.fault = error.what();
  }
  return facts;
}

}  // namespace ocelli::data
