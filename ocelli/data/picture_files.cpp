#include "ocelli/data/picture_files.h"

#include <xxhash.h>

#include <algorithm>
#include <array>

#include "ocelli/base/file.h"
#include "ocelli/data/picture_facts.h"
#include "ocelli/data/picture_root.h"

namespace ocelli::data {

namespace fs = std::filesystem;

std::string picture_suffix(std::string_view bytes) {
  const std::string_view kind = picture_kind(bytes);
  return kind == "JPEG" ? ".jpg" : kind == "PNG" ? ".png" : kind == "WebP" ? ".webp" : "";
}

bool is_picture_suffix(std::string_view suffix) {
  constexpr std::array<std::string_view, 4> kSuffixes = {"jpg", "jpeg", "png", "webp"};
  std::string small(suffix);
  for (char& c : small) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return std::find(kSuffixes.begin(), kSuffixes.end(), small) != kSuffixes.end();
}

std::string PictureFiles::put(const Picture& picture, const std::string& name) {
  if (!picture.bytes) {
    const auto relative = path_below(folder_, picture.path);
    std::error_code unreachable;
    if (relative && fs::is_regular_file(picture.path, unreachable)) return relative->generic_string();
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
