#include "ocelli/base/error.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

/// transformers' PaliGemmaProcessor: a placeholder a picture, BOS, the question, a line's end.
constexpr const char* kTemplate =
    "{%- for message in messages if message['content'] is not string -%}{%- for part in message['content'] if part['type'] == "
    "'image' -%}{{ '<image>' }}{%- endfor -%}{%- endfor -%}{{ bos_token }}{%- for message in messages -%}{%- if "
    "message['content'] is string -%}{{ message['content'] }}{%- else -%}{%- for part in message['content'] if part['type'] == "
    "'text' -%}{{ part['text'] }}{%- endfor -%}{%- endif -%}{%- if message['role'] != 'assistant' -%}{{ '\\n' }}{%- endif "
    "-%}{%- endfor -%}";

bool matches(const JsonView& config) {
  return config.string("model_type", "") == "paligemma";
}

ModelConfig read(const Source& source) {
  Json filled = source.config().value();
  require(filled.contains("vision_config") && filled["vision_config"].is_object() && filled.contains("text_config") &&
              filled["text_config"].is_object(),
          "{}: vision_config and text_config, both objects, are expected", source.config().path());
  Json& text = filled["text_config"];
  if (!text.contains("model_type")) text["model_type"] = "gemma";
  require(text["model_type"] == "gemma", "{}: text_config.model_type is {}; PaliGemma's decoder here is gemma",
          source.config().path(), text["model_type"].dump());
  // Which rows see which is the whole model's matter here.
  text.erase("use_bidirectional_attention");
  if (!text.contains("tie_word_embeddings")) text["tie_word_embeddings"] = true;
  if (!filled["vision_config"].contains("model_type")) filled["vision_config"]["model_type"] = "siglip_vision_model";
  const JsonView config(filled, source.config().path());
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(config.object("text_config"));
  out.decoder.tie_word_embeddings = config.boolean("tie_word_embeddings", out.decoder.tie_word_embeddings);
  out.vision = vision::VisionConfig::from_json(config.object("vision_config"));
  out.vision->apply_post_layernorm = true;
  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kLinear;
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  out.connector = connector;
  const char* token_key = config.has("image_token_index") ? "image_token_index" : "image_token_id";
  out.placeholder.token_id = config.integer_in(token_key, 0, (int64_t{1} << 31), 256000);
  out.bidirectional_prompt = true;
  out.chat_template = kTemplate;
  read_special_tokens(config, out);
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  // As written; then as published, and as transformers 5 has them in memory.
  names.add({"vision_tower.vision_model.head.**", {}, Transform::kIgnore});
  names.add({"vision_tower.vision_model.embeddings.position_ids", {}, Transform::kIgnore});
  names.add({"vision_tower.vision_model.**", {"vision_tower.**"}, Transform::kSame, 0, true});
  names.add(transformer_tower_names(), "vision_tower.", "vision_tower.");
  names.add({"multi_modal_projector.linear.**", {"multi_modal_projector.linear_1.**"}});
  names.add(decoder_names(config.decoder), "language_model.", "language_model.");
  names.add({"model.vision_tower.vision_model.**", {"vision_tower.**"}, Transform::kSame, 0, true});
  names.add({"model.vision_tower.**", {"vision_tower.**"}, Transform::kSame, 0, true});
  names.add({"model.multi_modal_projector.linear.**", {"multi_modal_projector.linear_1.**"}, Transform::kSame, 0, true});
  names.add({"model.language_model.**", {"language_model.model.**"}, Transform::kSame, 0, true});
  names.add({"lm_head.**", {"language_model.lm_head.**"}, Transform::kSame, 0, true});
  return names;
}

Json write(const ModelConfig& config) {
  vision::VisionConfig tower = *config.vision;
  tower.apply_post_layernorm = false;  // SiglipVisionModel's own output has it
  Json json = {{"model_type", "paligemma"}};
  json["architectures"] = {"PaliGemmaForConditionalGeneration"};
  json["vision_config"] = tower.to_json();
  json["text_config"] = config.decoder.to_json();
  json["tie_word_embeddings"] = config.decoder.tie_word_embeddings;
  json["projection_dim"] = json["hidden_size"] = config.decoder.hidden_size;
  json["image_token_index"] = config.placeholder.token_id;
  return json;
}

Json processor(const ModelConfig&) {
  return {{"processor_class", "PaliGemmaProcessor"}};
}

}  // namespace

Family paligemma() {
  return {"paligemma", matches, read, names, write, processor};
}

}  // namespace ocelli::model::hf
