#include "ocelli/base/error.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

bool is_idefics3(const JsonView& config) {
  return config.string("model_type", "") == "idefics3";
}
bool is_smolvlm(const JsonView& config) {
  return config.string("model_type", "") == "smolvlm";
}

ModelConfig read(const Source& source) {
  Json filled = source.config().value();
  require(filled.contains("vision_config") && filled["vision_config"].is_object() && filled.contains("text_config") &&
              filled["text_config"].is_object(),
          "{}: vision_config and text_config, both objects, are expected", source.config().path());
  // The tower is SigLIP's but for the places of its positions, with defaults of its own.
  Json& tower = filled["vision_config"];
  tower["model_type"] = "siglip_vision_model";
  for (const auto& [key, value] : {std::pair{"hidden_size", 1152}, {"num_attention_heads", 16}, {"patch_size", 32}}) {
    if (!tower.contains(key)) tower[key] = value;
  }
  if (!filled["text_config"].contains("model_type")) filled["text_config"]["model_type"] = "llama";
  const JsonView config(filled, source.config().path());
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(config.object("text_config"));
  if (config.has("tie_word_embeddings")) out.decoder.tie_word_embeddings = config.boolean("tie_word_embeddings");
  out.vision = vision::VisionConfig::from_json(config.object("vision_config"));
  out.vision->position_resize = vision::PositionResize::kBuckets;
  out.vision->apply_post_layernorm = true;
  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kPatchMerger;
  connector.merger.scale = config.integer_in("scale_factor", 1, 16, 2);
  connector.merger.norm = std::nullopt;
  connector.merger.num_layers = 1;
  connector.merger.bias = false;
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  out.connector = connector;
  out.placeholder.token_id = config.integer_in("image_token_id", 0, out.decoder.vocab_size - 1, 128257);
  require(out.placeholder.token_id < out.decoder.vocab_size, "{}.image_token_id {} lies outside the vocabulary of {}",
          config.path(), out.placeholder.token_id, out.decoder.vocab_size);
  out.placeholder.tile_markers = true;
  read_special_tokens(config, out);
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  names.add(transformer_tower_names(), "model.vision_model.", "vision_tower.");
  names.add({"model.connector.modality_projection.proj.**", {"multi_modal_projector.linear_1.**"}});
  names.add({"model.text_model.layers.*.self_attn.rotary_emb.inv_freq", {}, Transform::kIgnore});
  names.add({"model.text_model.**", {"language_model.model.**"}});
  names.add({"lm_head.**", {"language_model.lm_head.**"}});
  names.add(decoder_names(config.decoder), "", "language_model.");
  return names;
}

Json write(const ModelConfig& config) {
  const bool smol = config.family == "smolvlm";
  vision::VisionConfig tower = *config.vision;
  tower.position_resize = vision::PositionResize::kNone;
  tower.apply_post_layernorm = false;  // the published class always goes through it
  Json json = {{"model_type", config.family}};
  json["architectures"] = {smol ? "SmolVLMForConditionalGeneration" : "Idefics3ForConditionalGeneration"};
  json["vision_config"] = tower.to_json();
  json["vision_config"]["model_type"] = config.family + "_vision";
  json["vision_config"].erase("vision_use_head");
  json["text_config"] = config.decoder.to_json();
  json["tie_word_embeddings"] = config.decoder.tie_word_embeddings;
  json["scale_factor"] = config.connector->merger.scale;
  json["image_token_id"] = config.placeholder.token_id;
  return json;
}

Json processor(const ModelConfig& config) {
  const int64_t side = config.vision->image_size / config.vision->patch_size / config.connector->merger.scale;
  return {{"processor_class", config.family == "smolvlm" ? "SmolVLMProcessor" : "Idefics3Processor"},
          {"image_seq_len", side * side}};
}

}  // namespace

Family idefics3() {
  return {"idefics3", is_idefics3, read, names, write, processor};
}
Family smolvlm() {
  return {"smolvlm", is_smolvlm, read, names, write, processor};
}

}  // namespace ocelli::model::hf
