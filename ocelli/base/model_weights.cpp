#include <algorithm>
#include <set>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/base/log.h"
#include "ocelli/base/safetensors_header.h"
#include "ocelli/base/safetensors_writer.h"
#include "ocelli/base/tensor_file.h"

namespace ocelli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kTorchName = "pytorch_model.bin";
constexpr const char* kTorchIndexName = "pytorch_model.bin.index.json";

/// `transformers` refuses a file whose metadata doesn't say for which framework it was written.
const std::map<std::string, std::string> kMetadata{{"format", "pt"}};

bool is_inside(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

bool is_there(const fs::path& path) {
  std::error_code error;
  const bool result = fs::exists(path, error);
  if (error) fail("{}: can't open: {}", path.string(), error.message());
  return result;
}

fs::path resolved(const fs::path& path) {
  std::error_code error;
  fs::path result = fs::canonical(path, error);
  if (error) fail("{}: can't open: {}", path.string(), error.message());
  return result;
}

/// Where files of a model may lie: its folder or, when that is a snapshot in a Hugging Face cache, the cache of this one model
/// (`models--org--name`, whose `snapshots` are links into its `blobs`).
fs::path allowed_root(const fs::path& folder) {
  for (fs::path parent = folder; parent.has_relative_path(); parent = parent.parent_path()) {
    if (parent.filename().string().starts_with("models--")) return parent;
  }
  return folder;
}

/// The real path of `name` in `folder`, which must not lead out of it.
fs::path locate(const fs::path& folder, const std::string& name) {
  const fs::path root = resolved(folder);
  const fs::path path = resolved(root / name);
  const fs::path allowed = allowed_root(root);
  require(is_inside(path, allowed), "{}: links to {}, outside of {}", (folder / name).string(), path.string(), allowed.string());
  return path;
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

/// Which shard each tensor lies in, from the index's weight_map.
std::map<std::string, std::string> read_weight_map(const fs::path& folder, const char* index_name) {
  const std::string shown = (folder / index_name).string();
  const Json index = parse_json(read_file(locate(folder, index_name), JsonLimits{}.max_bytes), shown);
  const JsonView view = JsonView(index, shown).object("weight_map");
  std::map<std::string, std::string> shard_of;
  for (const auto& [tensor, shard] : view.value().items()) {
    require(shard.is_string(), "{}.{} is no string, expected a file name", view.path(), tensor);
    const auto& name = shard.get_ref<const std::string&>();
    require(is_plain_name(name), "{}: tensor {} lies in {}, expected a plain file name inside the folder", shown,
            detail::quoted_name(tensor), detail::quoted_name(name));
    shard_of.emplace(tensor, name);
  }
  return shard_of;
}

class ShardedFile final : public TensorFile {
 public:
  using Open = std::unique_ptr<TensorFile> (*)(const fs::path& path);

  ShardedFile(const fs::path& folder, const char* index_name, Open open) {
    path_ = folder;
    const auto shard_of = read_weight_map(folder, index_name);
    std::set<std::string> names;
    for (const auto& [tensor, shard] : shard_of) names.insert(shard);
    check_present(folder, names);
    auto owners = std::make_shared<std::vector<std::shared_ptr<const void>>>();
    std::map<std::string_view, std::string> found_in;
    for (const std::string& name : names) {
      const auto shard = open(locate(folder, name));
      owners->push_back(shard->owner());
      for (const auto& [tensor, raw] : shard->tensors()) {
        const auto [place, is_new] = tensors_.emplace(tensor, raw);
        if (!is_new) {
          fail("{}: tensor {} lies in two shards, {} and {}", folder.string(), detail::quoted_name(tensor),
               found_in[place->first], name);
        }
        found_in.emplace(place->first, name);
      }
      metadata_.insert(shard->metadata().begin(), shard->metadata().end());
    }
    for (const auto& [tensor, shard] : shard_of) {
      const auto found = found_in.find(tensor);
      require(found != found_in.end() && found->second == shard, "{}: tensor {} isn't in {}, where {} says it is",
              folder.string(), detail::quoted_name(tensor), shard, index_name);
    }
    if (tensors_.size() > shard_of.size()) {
      log::warning("{}: {} tensors of the shards aren't listed in {}", folder.string(), tensors_.size() - shard_of.size(),
                   index_name);
    }
    owner_ = std::move(owners);
  }

 private:
  /// All that is missing in one message: with large models, finding out one by one takes a download each.
  static void check_present(const fs::path& folder, const std::set<std::string>& names) {
    std::vector<std::string> missing;
    for (const std::string& name : names) {
      if (!is_there(folder / name)) missing.push_back(name);
    }
    if (missing.empty()) return;
    constexpr size_t kShown = 8;
    const size_t shown = std::min(missing.size(), kShown);
    fail("{}: missing {} of {} shards: {}{}", folder.string(), missing.size(), names.size(),
         fmt::join(missing.begin(), missing.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
         missing.size() > shown ? ", …" : "");
  }
};

/// In ascending order.
std::vector<std::string> names_ending(const fs::path& folder, std::string_view end) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), last; !error && entry != last; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.ends_with(end)) names.push_back(name);
  }
  if (error) fail("{}: can't list the folder: {}", folder.string(), error.message());
  std::sort(names.begin(), names.end());
  return names;
}

/// model-NNNNN-of-NNNNN.safetensors.
bool is_shard_name(std::string name) {
  for (char& c : name) {
    if ('0' <= c && c <= '9') c = 'N';
  }
  return name == "model-NNNNN-of-NNNNN.safetensors";
}

/// Removes `model.safetensors`, the index and shards, all that `keep` doesn't name.
void remove_old(const fs::path& folder, const std::set<std::string>& keep) {
  std::vector<fs::path> old;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool ours = name == kSingleName || name == kIndexName || is_shard_name(name);
    if (ours && !keep.contains(name)) old.push_back(entry->path());
  }
  if (error) fail("{}: can't list the previous weights: {}", folder.string(), error.message());
  // The index first: shards that no index names are garbage, an index whose shards are gone is a broken model.
  std::stable_partition(old.begin(), old.end(), [](const fs::path& path) { return path.filename() == kIndexName; });
  for (const fs::path& path : old) {
    if (!fs::remove(path, error) && error) fail("{}: can't remove the previous weights: {}", path.string(), error.message());
  }
  if (!old.empty()) sync_directory(folder);
}

/// Tensors in order of name, cut where a shard would grow beyond `max_bytes`. A larger tensor is a shard alone.
std::vector<detail::TensorMap> split(const detail::TensorMap& tensors, uint64_t max_bytes) {
  std::vector<detail::TensorMap> shards(1);
  uint64_t filled = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!shards.back().empty() && filled + tensor.data.size() > max_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += tensor.data.size();
    shards.back().emplace(name, tensor);
  }
  return shards;
}

void write_shards(const fs::path& folder, const std::vector<detail::TensorMap>& shards) {
  std::set<std::string> names{kIndexName};
  std::vector<std::unique_ptr<AtomicFile>> files;
  Json weight_map = Json::object();
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    names.insert(name);
    files.push_back(std::make_unique<AtomicFile>(folder / name));
    detail::write_tensors(*files.back(), shards[i], kMetadata, (folder / name).string());
    for (const auto& [tensor, raw] : shards[i]) {
      weight_map[tensor] = name;
      total += raw.data.size();
    }
  }
  const Json index{{"metadata", {{"total_size", total}}}, {"weight_map", std::move(weight_map)}};
  AtomicFile index_file(folder / kIndexName);
  index_file.write(index.dump(2) + "\n");
  // Everything is on the disk; only now names change. An index of before goes first, so that being killed between the renames
  // leaves a model without index, which is refused, and never old and new shards under one index.
  std::error_code error;
  if (!fs::remove(folder / kIndexName, error) && error) {
    fail("{}: can't replace: {}", (folder / kIndexName).string(), error.message());
  }
  sync_directory(folder);
  for (const auto& file : files) file->commit();
  index_file.commit();
  remove_old(folder, names);
}

}  // namespace

bool has_model_weights(const fs::path& folder) {
  for (const char* name : {kSingleName, kIndexName, kTorchName, kTorchIndexName}) {
    if (is_there(folder / name)) return true;
  }
  return is_there(folder) && !names_ending(folder, ".pth").empty();
}

std::unique_ptr<TensorFile> open_model_weights(const fs::path& folder) {
  require(is_there(folder), "{}: no such folder", folder.string());
  if (is_there(folder / kSingleName)) return open_safetensors(locate(folder, kSingleName));
  if (is_there(folder / kIndexName)) return std::make_unique<ShardedFile>(folder, kIndexName, open_safetensors);
  if (is_there(folder / kTorchName)) return open_torch_file(locate(folder, kTorchName));
  if (is_there(folder / kTorchIndexName)) return std::make_unique<ShardedFile>(folder, kTorchIndexName, open_torch_file);
  const std::vector<std::string> names = names_ending(folder, ".pth");
  if (names.size() == 1) return open_torch_file(locate(folder, names.front()));
  require(names.empty(), "{}: holds {} .pth files, expected one: {}", folder.string(), names.size(), fmt::join(names, ", "));
  fail("{}: holds neither {} nor {}, {}, {} or one .pth file", folder.string(), kSingleName, kIndexName, kTorchName,
       kTorchIndexName);
}

void write_model_weights(const fs::path& folder, const std::map<std::string, RawTensor, std::less<>>& tensors,
                         uint64_t max_shard_bytes) {
  require(max_shard_bytes > 0, "{}: shards of at most 0 bytes, expected at least 1", folder.string());
  make_directories(folder);
  const auto shards = split(tensors, max_shard_bytes);
  if (shards.size() > 1) return write_shards(folder, shards);
  write_safetensors(folder / kSingleName, tensors, kMetadata);
  remove_old(folder, {kSingleName});
}

}  // namespace ocelli
