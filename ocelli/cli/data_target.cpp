#include "ocelli/cli/data_target.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"

namespace ocelli::cli {
namespace {

constexpr std::array<std::string_view, 2> kInShards = {"webdataset", "parquet"};
/// Formats that name picture files; the others hold the pictures themselves, or none.
constexpr std::array<std::string_view, 6> kNamingPictures = {"llava", "sharegpt", "messages", "folder", "vqa", "coco"};

template <size_t kCount>
bool holds(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

void TargetOptions::add_to(CLI::App& verb) {
  verb.add_option("target", writer.path, "file (or folder) to write")->required();
  verb.add_option("--to", to, "format to write (default: told by the target)");
  verb.add_option("--out-images", writer.images,
                  "folder for pictures where the format names them: paths start from it, so the result is read with --images; "
                  "pictures below it are referred to, not copied (default: `images` beside the target, found without --images)");
  verb.add_option("--shard-samples", writer.shard_samples,
                  "most samples of a shard, of webdataset and parquet: name.tar becomes name-000000.tar, ...; 0: one file")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

const data::Format& TargetOptions::format(const std::filesystem::path& source) const {
  std::error_code ignored;
  if (std::filesystem::equivalent(source, writer.path, ignored)) {
    throw UsageError(fmt::format("{}: source and target are the same; give another target", writer.path.string()));
  }
  const data::Format& format = data::find_format(to.empty() ? data::format_of(writer.path) : to);
  if (format.write == nullptr) throw UsageError(fmt::format("--to {}: this format can be read, not written", format.name));
  if (writer.shard_samples > 0 && !holds(kInShards, format.name)) {
    throw UsageError(fmt::format("--shard-samples: {} has no shards; leave it out, or write webdataset or parquet", format.name));
  }
  if (!writer.images.empty() && !holds(kNamingPictures, format.name)) {
    throw UsageError(fmt::format("--out-images: {} names no picture files; leave it out", format.name));
  }
  return format;
}

std::unique_ptr<data::SampleWriter> TargetOptions::open(const data::Format& format) const {
  if (writer.path.has_parent_path()) make_directories(writer.path.parent_path());
  return format.write(writer);
}

}  // namespace ocelli::cli
