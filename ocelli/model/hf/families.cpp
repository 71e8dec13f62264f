#include <array>

#include "ocelli/base/error.h"
#include "ocelli/model/hf/family.h"
#include "ocelli/model/hf/family_list.h"
#include "ocelli/model/load.h"

namespace ocelli::model::hf {

const TensorFile& Source::weights() const {
  if (!weights_) {
    require(!folder_.empty(), "{}: sizes are not in this config but in the weights, and no folder is given", config_.path());
    weights_ = open_model_weights(folder_);
  }
  return *weights_;
}

bool Source::has_weights() const {
  return !folder_.empty() && has_model_weights(folder_);
}

int64_t Source::count(std::string_view prefix, std::string_view suffix) const {
  int64_t count = 0;
  while (weights().find(std::string(prefix) + std::to_string(count) + std::string(suffix)) != nullptr) ++count;
  return count;
}

std::span<const Family> families() {
  // Layouts with a `model_type` of their own go in any order; those that share one with another tell it by further keys and go
  // before it.
  static const std::array list = {
      blip2(),
      blip2_lavis(),
      instructblip(),
      minigpt_v2(),
      llava_original(),
      llava(),
      llava_next(),
      next_chat(),
      deepseek_vl_original(),
      deepseek_vl(),
      deepseek_vl_hybrid(),
      internvl_original(),
      internvl(),
      cogvlm(),
      mini_gemini(),
      minicpm_v(),
      text_monkey(),
      qwen_vl(),
      qwen_text(),
      llava_onevision(),
      qwen2_vl(),
      qwen2_5_vl(),
      idefics3(),
      smolvlm(),
      paligemma(),
      ocelli_family(),
      text_only(),
  };
  return list;
}

const Family* find_family(std::string_view name) {
  for (const Family& family : families()) {
    if (family.name == name) return &family;
  }
  return nullptr;
}

void require_published(const Source& source, std::string_view key, int64_t given, std::string_view tower, int64_t published) {
  require(given == published,
          "{}: {} is {}, but {} has {}; the sizes of another tower are the shapes of its weights, and the folder has none "
          "(model.safetensors, pytorch_model.bin or one .pth file)",
          source.config().path(), key, given, tower, published);
}

std::filesystem::path named_folder(const Source& source, const char* key) {
  const std::string name = source.config().string(key);
  const std::filesystem::path beside = source.folder() / name;
  if (!source.folder().empty() && std::filesystem::is_directory(beside)) return beside;
  try {
    return resolve_model(name);
  } catch (const Error& error) {
    fail("{}.{}: {}", source.config().path(), key, error.what());
  }
}

vision::VisionConfig named_tower(const Source& source, const std::filesystem::path& folder) {
  Json tower = read_json(folder / "config.json");
  if (tower.contains("vision_config")) tower = tower["vision_config"];
  if (!tower.contains("model_type") || tower["model_type"] == "clip") tower["model_type"] = "clip_vision_model";
  if (tower["model_type"] == "siglip") tower["model_type"] = "siglip_vision_model";
  vision::VisionConfig out = vision::VisionConfig::from_json(JsonView(tower, (folder / "config.json").string()));
  out.feature_layers = {source.config().integer("mm_vision_select_layer", -2)};
  out.layers_needed();  // throws for a layer the tower hasn't got
  return out;
}

std::vector<int64_t> end_tokens(const JsonView& config) {
  if (!config.value()["eos_token_id"].is_array()) return {config.integer("eos_token_id")};
  return config.integers("eos_token_id");
}

void read_special_tokens(const JsonView& config, ModelConfig& out) {
  out.eos_token_ids = config.has("eos_token_id") ? end_tokens(config) : out.decoder.eos_token_ids;
  out.bos_token_id = config.integer("bos_token_id", out.decoder.bos_token_id);
}

std::vector<int64_t> feature_layers(const JsonView& config, int64_t fallback) {
  if (!config.has("vision_feature_layer")) return {fallback};
  if (!config.value()["vision_feature_layer"].is_array()) return {config.integer("vision_feature_layer")};
  const std::vector<int64_t> layers = config.integers("vision_feature_layer");
  require(!layers.empty(), "{}.vision_feature_layer is empty", config.path());
  return layers;
}

}  // namespace ocelli::model::hf
