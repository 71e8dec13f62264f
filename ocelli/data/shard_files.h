#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::data {

/// The files `path` means: itself; the files of a pattern with one range, `name-{000000..000099}.tar`, padded as its first
/// number; or the files of a folder whose name ends in one of `suffixes`, by name. Throws Error when a folder has none, or the
/// pattern isn't understood or means more than a million.
std::vector<std::filesystem::path> shards_of(const std::filesystem::path& path, std::span<const std::string_view> suffixes);

/// The files of a writer whose format has shards. Nothing stands under its name before finish().
class ShardFiles {
 public:
  /// One file, `path`; or, where `several`, shards beside it: `a/name.tar` becomes `a/name-000000.tar`, … Without `suffix`,
  /// `path` is a folder for shards called after it. Throws Error when such shards are there already: their number may differ, so
  /// the old ones would be read among the new.
  ShardFiles(std::filesystem::path path, std::string suffix, bool several);
  /// Removes what wasn't finished.
  ~ShardFiles();
  ShardFiles(const ShardFiles&) = delete;
  ShardFiles& operator=(const ShardFiles&) = delete;

  /// The next file to write, under a passing name.
  std::filesystem::path next();
  /// Gives all of them their names.
  void finish();

 private:
  std::filesystem::path named(size_t shard) const;
  std::filesystem::path passing(size_t shard) const;

  std::filesystem::path folder_;
  std::string stem_;
  std::string suffix_;
  bool several_;
  size_t count_ = 0;
  bool finished_ = false;
};

}  // namespace ocelli::data
