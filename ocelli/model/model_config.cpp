#include "ocelli/model/model_config.h"

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/language/decoder_families.h"
#include "ocelli/model/hf/family.h"

namespace ocelli::model {
namespace {

ModelConfig read_by_family(const hf::Source& source) {
  for (const hf::Family& family : hf::families()) {
    if (!family.matches(source.config())) continue;
    ModelConfig out = family.read(source);
    out.family = std::string(family.name);
    return out;
  }
  std::string known;
  for (const hf::Family& family : hf::families()) known += (known.empty() ? "" : ", ") + std::string(family.name);
  fail("{}.model_type is \"{}\"; known layouts are {}", source.config().path(), source.config().string("model_type", ""), known);
}

/// What transformers' LlavaForConditionalGeneration says all of.
bool is_llava(const ModelConfig& config) {
  if (!config.vision || !config.connector || config.aux_vision || config.location) return false;
  const language::DecoderFamily* decoder = language::find_decoder_family(config.decoder.model_type);
  // Its head is the whole model's: without bias and scale.
  if (decoder == nullptr || !decoder->in_transformers || config.decoder.head_bias || config.decoder.logits_divisor != 1)
    return false;
  const vision::VisionConfig& tower = *config.vision;
  // "default" drops a first row, so without a class token only "full" says the same there.
  const bool same_rows = tower.class_embedding || tower.keep_class_token;
  return tower.model_type() != "ocelli_vision" && same_rows && config.connector->type == connector::ConnectorConfig::Type::kMlp &&
         config.connector->hidden_width == 0 && config.arrange.kind == connector::ArrangeConfig::Kind::kConcat &&
         config.placeholder.kind == PlaceholderRule::Kind::kToken && config.placeholder.token_id >= 0 &&
         config.positions == PositionRule::kRising && config.visual_scale == 1 && !config.bidirectional_prompt;
}

}  // namespace

ModelConfig ModelConfig::from_json(const JsonView& config) {
  return read_by_family({config, {}});
}

ModelConfig ModelConfig::load(const std::filesystem::path& folder) {
  require(std::filesystem::is_directory(folder), "model {}: no such folder", folder.string());
  const std::filesystem::path file = folder / "config.json";
  require(std::filesystem::exists(file), "model {}: config.json is missing; expected a Hugging Face model folder",
          folder.string());
  const Json json = read_json(file);
  const JsonView config(json, file.string());
  ModelConfig out = read_by_family({config, folder});
  // transformers' generate() ends where generation_config.json says: chat models name ends there that config.json does not.
  const std::filesystem::path generation_file = folder / "generation_config.json";
  if (std::filesystem::exists(generation_file)) {
    const Json generation = read_json(generation_file);
    const JsonView view(generation, generation_file.string());
    if (view.has("eos_token_id")) out.eos_token_ids = hf::end_tokens(view);
  }
  return out;
}

Json ModelConfig::to_json() const {
  const hf::Family* as = hf::find_family(written_family());
  require(as != nullptr && as->write != nullptr, "model: the layout \"{}\" can't be written", written_family());
  Json json = as->write(*this);
  if (bos_token_id >= 0) json["bos_token_id"] = bos_token_id;
  if (eos_token_ids.size() == 1) json["eos_token_id"] = eos_token_ids[0];
  if (eos_token_ids.size() > 1) json["eos_token_id"] = eos_token_ids;
  json["dtype"] = "float32";
  return json;
}

std::string ModelConfig::written_family() const {
  if (!vision) return "text";
  const hf::Family* own = hf::find_family(family);
  if (family != "ocelli" && own != nullptr && own->write != nullptr) return family;
  return is_llava(*this) ? "llava" : "ocelli";
}

}  // namespace ocelli::model
