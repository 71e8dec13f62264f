#include "ocelli/data/shard_files.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostShards = 1'000'000;

uint64_t bound(std::string_view digits, const std::string& pattern) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  require(error == std::errc() && end == digits.data() + digits.size(),
          "{}: \"{}\" is no number; a pattern of shards looks like name-{{000000..000099}}.tar", pattern, digits);
  return value;
}

std::vector<fs::path> expand(const std::string& pattern, size_t open) {
  const size_t close = pattern.find('}', open), dots = pattern.find("..", open);
  require(
      close != std::string::npos && dots != std::string::npos && dots < close && pattern.find('{', close) == std::string::npos,
      "{}: a pattern of shards has one range in braces: name-{{000000..000099}}.tar", pattern);
  const std::string_view view = pattern;
  const std::string_view low = view.substr(open + 1, dots - open - 1), high = view.substr(dots + 2, close - dots - 2);
  const uint64_t first = bound(low, pattern), last = bound(high, pattern);
  require(first <= last && last - first < kMostShards, "{}: {} to {}, expected an ascending range of at most {} shards", pattern,
          first, last, kMostShards);
  std::vector<fs::path> paths;
  for (uint64_t i = first; i <= last; ++i) {
    paths.emplace_back(fmt::format("{}{:0{}}{}", view.substr(0, open), i, low.size(), view.substr(close + 1)));
  }
  return paths;
}

}  // namespace

std::vector<fs::path> shards_of(const fs::path& path, std::span<const std::string_view> suffixes) {
  const auto known = [&](const std::string& name) {
    return std::any_of(suffixes.begin(), suffixes.end(), [&](std::string_view suffix) { return name.ends_with(suffix); });
  };
  std::error_code unknown;
  if (fs::is_directory(path, unknown)) {
    std::vector<fs::path> paths;
    for (const fs::directory_entry& entry : fs::directory_iterator(path, unknown)) {
      if (known(entry.path().filename().string()) && !entry.is_directory(unknown)) paths.push_back(entry.path());
    }
    require(!unknown, "{}: can't list the folder: {}", path.string(), unknown.message());
    require(!paths.empty(), "{}: the folder has no file named {}", path.string(), fmt::join(suffixes, ", "));
    std::sort(paths.begin(), paths.end());
    return paths;
  }
  const std::string text = path.string();
  const size_t open = text.find('{');
  if (open == std::string::npos || fs::exists(path, unknown)) return {path};
  return expand(text, open);
}

ShardFiles::ShardFiles(fs::path path, std::string suffix, bool several) : suffix_(std::move(suffix)), several_(several) {
  const std::string name = path.filename().string();
  if (name.ends_with(suffix_)) {
    folder_ = path.parent_path();
    stem_ = name.substr(0, name.size() - suffix_.size());
  } else {
    several_ = true;
    folder_ = path;
    stem_ = path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
    make_directories(folder_);
  }
  require(!stem_.empty() && stem_ != "." && stem_ != "..", "{}: no name for the files; give one, like data{}", path.string(),
          suffix_);
  if (!several_) return;
  const std::string_view start = stem_;
  std::error_code unknown;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_.empty() ? "." : folder_, unknown)) {
    const std::string other = entry.path().filename().string();
    if (!other.starts_with(stem_ + "-") || !other.ends_with(suffix_)) continue;
    const std::string number = other.substr(start.size() + 1, other.size() - start.size() - 1 - suffix_.size());
    require(number.empty() || number.find_first_not_of("0123456789") != std::string::npos,
            "{}: a shard of an earlier set is there already; remove it or write elsewhere", entry.path().string());
  }
}

ShardFiles::~ShardFiles() {
  std::error_code ignored;
  for (size_t i = 0; i < count_ && !finished_; ++i) fs::remove(passing(i), ignored);
}

fs::path ShardFiles::named(size_t shard) const {
  return folder_ / (several_ ? fmt::format("{}-{:06}{}", stem_, shard, suffix_) : stem_ + suffix_);
}

fs::path ShardFiles::passing(size_t shard) const {
  // Hidden, and without the suffix: nobody who lists the folder meanwhile takes it for a shard.
  return folder_ / fmt::format(".{}.part-{}", named(shard).filename().string(), ::getpid());
}

fs::path ShardFiles::next() {
  return passing(count_++);
}

void ShardFiles::finish() {
  for (size_t i = 0; i < count_; ++i) {
    std::error_code error;
    fs::rename(passing(i), named(i), error);
    require(!error, "{}: can't put the new file in place: {}", named(i).string(), error.message());
  }
  finished_ = true;
  sync_directory(folder_.empty() ? "." : folder_);
}

}  // namespace ocelli::data
