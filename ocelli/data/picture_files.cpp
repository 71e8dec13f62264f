#include "ocelli/data/picture_files.h"

#include <xxhash.h>

#include "ocelli/base/file.h"
#include "ocelli/data/picture_root.h"

namespace ocelli::data {

namespace fs = std::filesystem;

std::string picture_suffix(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xD8\xFF")) return ".jpg";
  if (bytes.starts_with("\x89PNG\r\n")) return ".png";
  if (bytes.size() > 12 && bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP") return ".webp";
  return "";
}

std::string PictureFiles::put(const Picture& picture, const std::string& name) {
  if (!picture.bytes) {
    const auto relative = path_below(folder_, picture.path);
    if (relative && is_there(picture.path)) return relative->generic_string();
  }
  const auto bytes = picture.encoded();
  const uint64_t hash = XXH3_64bits(bytes->data(), bytes->size());
  const auto known = written_.find(hash);
  if (known != written_.end()) return known->second;
  std::string stem = picture.path.stem().string().empty() ? fs::path(name).filename().string() : picture.path.stem().string();
  if (stem.empty() || stem == "." || stem == "..") stem = "picture";
  const std::string suffix = picture_suffix(*bytes).empty() ? picture.path.extension().string() : picture_suffix(*bytes);
  std::string file = stem + suffix;
  const auto holds_these = [&] {  // of an earlier conversion
    std::error_code unknown;
    return fs::file_size(folder_ / file, unknown) == bytes->size() && !unknown &&
           read_file(folder_ / file, bytes->size()) == *bytes;
  };
  int64_t number = 1;
  while (taken_.contains(file) || (is_there(folder_ / file) && !holds_these()))
    file = fmt::format("{}-{}{}", stem, ++number, suffix);
  make_directories(folder_);
  if (!is_there(folder_ / file)) write_file_atomic(folder_ / file, *bytes);
  taken_.emplace(file, hash);
  written_.emplace(hash, file);
  return file;
}

}  // namespace ocelli::data
