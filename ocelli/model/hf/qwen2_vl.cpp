#include <numeric>

#include "ocelli/base/error.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

bool is_qwen2_vl(const JsonView& config) {
  return config.string("model_type", "") == "qwen2_vl";
}
bool is_qwen2_5_vl(const JsonView& config) {
  return config.string("model_type", "") == "qwen2_5_vl";
}

/// The decoder's keys, which published configs have beside the tower's and newer ones in an object of their own, as Qwen2's.
Json text_keys(const JsonView& config) {
  Json text = config.has("text_config") ? config.object("text_config").value() : config.value();
  text["model_type"] = "qwen2";
  if (!text.contains("rms_norm_eps")) text["rms_norm_eps"] = 1e-5;
  if (!text.contains("rope_theta") && !text.contains("rope_parameters")) text["rope_theta"] = 1e6;
  // Both configs list a window that they don't use.
  if (!text.contains("use_sliding_window")) text["use_sliding_window"] = false;
  return text;
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  const bool windowed = is_qwen2_5_vl(config);
  ModelConfig out;
  const Json text = text_keys(config);
  out.decoder = language::DecoderConfig::from_json(JsonView(text, config.path()));
  const auto& sections = out.decoder.rope.mrope_section;
  const int64_t covered = std::accumulate(sections.begin(), sections.end(), int64_t{0});
  require(sections.size() == 3 && covered == out.decoder.rope.rotary_width / 2,
          "{}: mrope_section has {} parts of {} frequencies in all, expected 3 of {}", config.path(), sections.size(), covered,
          out.decoder.rope.rotary_width / 2);
  if (config.boolean("tie_word_embeddings", false)) out.decoder.tie_word_embeddings = true;
  Json tower = config.object("vision_config").value();
  tower["model_type"] = windowed ? "qwen2_5_vl_vision" : "qwen2_vl_vision";
  const JsonView tower_view(tower, config.path() + ": vision_config");
  out.vision = vision::VisionConfig::from_json(tower_view);
  const vision::Qwen2VisionConfig& qwen2 = *out.vision->qwen2;
  const char* width_key = windowed ? "out_hidden_size" : "hidden_size";
  const int64_t width = tower_view.integer(width_key, 3584);
  require(width == out.decoder.hidden_size, "{}.{} is {}; the decoder is {} wide", tower_view.path(), width_key, width,
          out.decoder.hidden_size);
  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kPatchMerger;
  connector.merger.scale = qwen2.spatial_merge_size;
  connector.merger.norm = windowed ? nn::NormKind::kRms : nn::NormKind::kLayer;
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  out.connector = connector;
  out.placeholder.token_id = config.integer_in("image_token_id", 0, out.decoder.vocab_size - 1, 151655);
  require(out.placeholder.token_id < out.decoder.vocab_size, "{}.image_token_id {} lies outside the vocabulary of {}",
          config.path(), out.placeholder.token_id, out.decoder.vocab_size);
  out.positions = PositionRule::kMrope;
  read_special_tokens(config, out);
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  // Published, and written; then as transformers 5 has them in memory.
  for (const std::string from : {"visual.", "model.visual."}) {
    const bool read_only = from != "visual.";
    const auto add = [&](std::string_view published, std::vector<std::string> ours, Transform transform = Transform::kSame) {
      names.add({from + std::string(published), std::move(ours), transform, 0, read_only});
    };
    const auto block = [](std::string_view name) { return "vision_tower.blocks.*." + std::string(name); };
    add("patch_embed.proj.weight", {"vision_tower.patch_embed.proj.weight"});
    add("blocks.*.attn.qkv.**", {block("attn.q_proj.**"), block("attn.k_proj.**"), block("attn.v_proj.**")}, Transform::kSplit);
    add("blocks.*.**", {block("**")});
    add("merger.ln_q.**", {"multi_modal_projector.norm.**"});
    add("merger.mlp.0.**", {"multi_modal_projector.linear_1.**"});
    add("merger.mlp.2.**", {"multi_modal_projector.linear_2.**"});
    add("rotary_pos_emb.inv_freq", {}, Transform::kIgnore);
  }
  names.add({"model.language_model.**", {"language_model.model.**"}, Transform::kSame, 0, true});
  names.add(decoder_names(config.decoder), "", "language_model.");
  return names;
}

Json write(const ModelConfig& config) {
  const bool windowed = config.vision->qwen2->windowed;
  Json json = config.decoder.to_json();
  json["model_type"] = windowed ? "qwen2_5_vl_text" : "qwen2_vl_text";
  json = {{"text_config", json}};
  json["model_type"] = windowed ? "qwen2_5_vl" : "qwen2_vl";
  json["architectures"] = {windowed ? "Qwen2_5_VLForConditionalGeneration" : "Qwen2VLForConditionalGeneration"};
  json["vision_config"] = config.vision->qwen2->to_json(config.decoder.hidden_size);
  json["tie_word_embeddings"] = config.decoder.tie_word_embeddings;
  json["image_token_id"] = config.placeholder.token_id;
  return json;
}

Json processor(const ModelConfig& config) {
  return {{"processor_class", config.vision->qwen2->windowed ? "Qwen2_5_VLProcessor" : "Qwen2VLProcessor"}};
}

}  // namespace

Family qwen2_vl() {
  return {"qwen2_vl", is_qwen2_vl, read, names, write, processor};
}
Family qwen2_5_vl() {
  return {"qwen2_5_vl", is_qwen2_5_vl, read, names, write, processor};
}

}  // namespace ocelli::model::hf
