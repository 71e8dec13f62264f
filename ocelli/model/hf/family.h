#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "ocelli/base/tensor_file.h"
#include "ocelli/model/hf/name_map.h"
#include "ocelli/model/model_config.h"

namespace ocelli::model::hf {

/// What a family's reader may look at.
class Source {
 public:
  /// `folder` may be empty: then there are no files beside the config.
  Source(const JsonView& config, std::filesystem::path folder) : config_(config), folder_(std::move(folder)) {}

  const JsonView& config() const { return config_; }
  const std::filesystem::path& folder() const { return folder_; }
  /// The weights' headers, opened when first asked for: sizes that configs leave out are the tensors' shapes.
  const TensorFile& weights() const;
  /// Whether the folder holds any; without, sizes that configs leave out are the published model's.
  bool has_weights() const;
  /// Shape of a published tensor. Throws Error when it is absent.
  const std::vector<int64_t>& shape(std::string_view published) const { return weights().at(published).shape; }
  /// How many of `prefix` + number + `suffix` there are, counted from 0.
  int64_t count(std::string_view prefix, std::string_view suffix) const;

 private:
  const JsonView& config_;
  std::filesystem::path folder_;
  mutable std::shared_ptr<const TensorFile> weights_;
};

/// One published layout: how it is told, read, named and written.
struct Family {
  std::string_view name;
  /// Whether config.json is of this layout; the first family that says yes reads it.
  bool (*matches)(const JsonView& config);
  ModelConfig (*read)(const Source& source);
  NameMap (*names)(const ModelConfig& config);
  /// config.json of a model of this family; null: written as `ocelli`.
  Json (*write)(const ModelConfig& config);
  /// The keys of processor_config.json beside the picture's and the template's, with `processor_class`
  /// (LlavaProcessor when it names none); null: none.
  Json (*processor)(const ModelConfig& config) = nullptr;
};

/// The explicit list, in the order in which they are asked.
std::span<const Family> families();
/// nullptr when there is none of that name.
const Family* find_family(std::string_view name);

// What readers share.
/// For a folder without weights, whose tower is taken for the published one: throws Error when a size that config.json does give
/// is another tower's, saying that weights are missing.
void require_published(const Source& source, std::string_view key, int64_t given, std::string_view tower, int64_t published);
/// The folder a config key names: beside config.json, as a path, or in the Hugging Face cache. Throws Error with the download
/// command.
std::filesystem::path named_folder(const Source& source, const char* key);
/// The tower in `mm_vision_tower`'s folder, its features taken at `mm_vision_select_layer`.
vision::VisionConfig named_tower(const Source& source, const std::filesystem::path& folder);
/// `eos_token_id` (number or list) and `bos_token_id` of the outermost config, else the decoder's.
void read_special_tokens(const JsonView& config, ModelConfig& out);
std::vector<int64_t> end_tokens(const JsonView& config);
/// `vision_feature_layer` as a number or a list.
std::vector<int64_t> feature_layers(const JsonView& config, int64_t fallback);

}  // namespace ocelli::model::hf
