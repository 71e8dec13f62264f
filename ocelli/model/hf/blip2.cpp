#include "ocelli/base/error.h"
#include "ocelli/model/hf/blip2_parts.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

bool is_blip2(const JsonView& config) {
  return config.string("model_type", "") == "blip-2";
}
bool is_instructblip(const JsonView& config) {
  return config.string("model_type", "") == "instructblip";
}

/// Blip2VisionConfig: EVA-g with one bias over queries, keys and values, and one epsilon for the blocks and the norm behind them.
vision::VisionConfig read_tower(const JsonView& config) {
  vision::VisionConfig out;
  out.hidden_size = config.integer_in("hidden_size", 1, 1 << 16, 1408);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 1 << 18, 6144);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 1, 1024, 39);
  out.num_attention_heads = config.integer_in("num_attention_heads", 1, 1 << 12, 16);
  require(out.hidden_size % out.num_attention_heads == 0, "{}: hidden_size {} is no multiple of num_attention_heads {}",
          config.path(), out.hidden_size, out.num_attention_heads);
  out.image_size = config.integer_in("image_size", 1, 1 << 14, 224);
  out.patch_size = config.integer_in("patch_size", 1, out.image_size, 14);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "gelu"));
  out.layer_norm_eps = config.number("layer_norm_eps", 1e-6);
  out.query_bias = out.key_bias = out.value_bias = config.boolean("qkv_bias", true);
  out.position_grid = {out.image_size / out.patch_size, out.image_size / out.patch_size};
  out.class_embedding = out.keep_class_token = true;
  out.apply_post_layernorm = true;
  return out;
}

ModelConfig read_parts(const Source& source, bool instruct) {
  const JsonView& config = source.config();
  ModelConfig out;
  const JsonView text = config.object("text_config");
  const std::string type = text.string("model_type", "opt");
  if (type == "t5") {
    auto t5 = language::EncoderDecoderConfig::from_json(text);
    // transformers 5 says "tied" of every T5; what is stored decides.
    if (source.has_weights()) t5.tie_word_embeddings = source.weights().find("language_model.lm_head.weight") == nullptr;
    set_encoder_decoder(out, t5);
  } else {
    Json filled = text.value();
    filled["model_type"] = type;
    out.decoder = language::DecoderConfig::from_json(JsonView(filled, text.path()));
  }
  const Json none = Json::object();
  out.vision = read_tower(config.has("vision_config") ? config.object("vision_config")
                                                      : JsonView(none, config.path() + ": vision_config"));

  Json qformer = config.has("qformer_config") ? config.object("qformer_config").value() : Json::object();
  require(instruct || !qformer.value("use_qformer_text_input", false),
          "{}.qformer_config.use_qformer_text_input is true: that is a model for retrieval, expected one that generates",
          config.path());
  qformer["text_input"] = instruct;
  qformer["num_query_tokens"] = config.integer_in("num_query_tokens", 1, 1 << 16, 32);
  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kQFormer;
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  connector.qformer = connector::QFormerConfig::from_json(JsonView(qformer, config.path() + ": qformer_config"));
  out.connector = connector;

  const char* token_key = config.has("image_token_index") ? "image_token_index" : "image_token_id";
  out.placeholder.front = true;
  out.placeholder.token_id = config.has(token_key) ? config.integer_in(token_key, 0, out.decoder.vocab_size - 1) : -200;
  out.chat_template = instruct ? kPlainTemplate : kQuestionTemplate;
  out.images = blip_images(out.vision->image_size);
  read_special_tokens(config, out);
  return out;
}

ModelConfig read_blip2(const Source& source) {
  return read_parts(source, false);
}
ModelConfig read_instructblip(const Source& source) {
  return read_parts(source, true);
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  const std::string published = "vision_model.", ours = "vision_tower.", attention = "encoder.layers.*.self_attn.";
  names.add({published + "embeddings.class_embedding", {ours + "embeddings.class_embedding"}, Transform::kSqueeze, 2});
  names.add(
      {published + "embeddings.position_embedding", {ours + "embeddings.position_embedding.weight"}, Transform::kSqueeze, 1});
  for (const char* kind : {"weight", "bias"}) {
    std::vector<std::string> parts;
    for (const char* part : {"q_proj.", "k_proj.", "v_proj."}) parts.push_back(ours + attention + part + kind);
    names.add({published + attention + "qkv." + kind, std::move(parts), Transform::kSplit});
  }
  names.add({published + attention + "projection.**", {ours + attention + "out_proj.**"}});
  names.add({published + "**", {ours + "**"}});
  names.add({"qformer.embeddings.position_ids", {}, Transform::kIgnore});
  for (const char* part : {"query_tokens", "qformer.**", "language_projection.**"}) {
    names.add({part, {std::string("multi_modal_projector.") + part}});
  }
  names.add(language_names(config), "language_model.", "language_model.");
  return names;
}

Json write_parts(const ModelConfig& config, const char* model_type, const char* architecture) {
  const vision::VisionConfig& tower = *config.vision;
  const connector::QFormerConfig& qformer = config.connector->qformer;
  Json text = config.encoder_decoder ? config.encoder_decoder->to_json() : config.decoder.to_json();
  const std::string part = std::string(model_type) == "blip-2" ? "blip_2" : "instructblip";
  Json query = qformer.to_json();
  for (const char* own : {"num_query_tokens", "class_token", "text_input"}) query.erase(own);
  query["model_type"] = part + "_qformer";
  query["encoder_hidden_size"] = tower.hidden_size;
  return {{"model_type", model_type},
          {"architectures", {architecture}},
          {"num_query_tokens", qformer.num_query_tokens},
          {"image_token_index", config.placeholder.token_id >= 0 ? Json(config.placeholder.token_id) : Json(nullptr)},
          {"use_decoder_only_language_model", !config.encoder_decoder.has_value()},
          {"vision_config",
           {{"model_type", part + "_vision_model"},
            {"hidden_size", tower.hidden_size},
            {"intermediate_size", tower.intermediate_size},
            {"num_hidden_layers", tower.num_hidden_layers},
            {"num_attention_heads", tower.num_attention_heads},
            {"image_size", tower.image_size},
            {"patch_size", tower.patch_size},
            {"hidden_act", nn::name_of(tower.hidden_act)},
            {"layer_norm_eps", tower.layer_norm_eps},
            {"qkv_bias", tower.query_bias}}},
          {"qformer_config", query},
          {"text_config", text}};
}

Json write_blip2(const ModelConfig& config) {
  return write_parts(config, "blip-2", "Blip2ForConditionalGeneration");
}
Json write_instructblip(const ModelConfig& config) {
  return write_parts(config, "instructblip", "InstructBlipForConditionalGeneration");
}

}  // namespace

Family blip2() {
  return {"blip-2", is_blip2, read_blip2, names, write_blip2};
}
Family instructblip() {
  return {"instructblip", is_instructblip, read_instructblip, names, write_instructblip};
}

}  // namespace ocelli::model::hf
