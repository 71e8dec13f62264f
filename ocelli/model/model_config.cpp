#include "ocelli/model/model_config.h"

namespace ocelli::model {
namespace {

/// `eos_token_id` as a number or a list.
std::vector<int64_t> end_tokens(const JsonView& config) {
  if (!config.value()["eos_token_id"].is_array()) return {config.integer("eos_token_id")};
  std::vector<int64_t> ids;
  for (const double id : config.numbers("eos_token_id")) ids.push_back(static_cast<int64_t>(id));
  return ids;
}

void read_eos(const JsonView& config, ModelConfig& out) {
  out.eos_token_ids = config.has("eos_token_id") ? end_tokens(config) : out.decoder.eos_token_ids;
  out.bos_token_id = config.integer("bos_token_id", out.decoder.bos_token_id);
}

std::vector<int64_t> feature_layers(const JsonView& config, int64_t fallback) {
  if (!config.has("vision_feature_layer")) return {fallback};
  if (!config.value()["vision_feature_layer"].is_array()) return {config.integer("vision_feature_layer")};
  std::vector<int64_t> layers;
  for (const double layer : config.numbers("vision_feature_layer")) layers.push_back(static_cast<int64_t>(layer));
  require(!layers.empty(), "{}.vision_feature_layer is empty", config.path());
  return layers;
}

ModelConfig from_llava(const JsonView& given) {
  // A part without model_type is what it was in the first LLaVA.
  Json filled = given.value();
  for (const auto& [key, type] : {std::pair{"text_config", "llama"}, {"vision_config", "clip_vision_model"}}) {
    if (filled.contains(key) && filled[key].is_object() && !filled[key].contains("model_type")) filled[key]["model_type"] = type;
  }
  const JsonView config(filled, given.path());
  ModelConfig out;
  out.model_type = "llava";
  const JsonView text = config.object("text_config");
  out.decoder = language::DecoderConfig::from_json(text);
  if (config.boolean("tie_word_embeddings", false)) out.decoder.tie_word_embeddings = true;
  out.vision = vision::VisionConfig::from_json(config.object("vision_config"));
  out.vision->feature_layers = feature_layers(config, -2);
  out.vision->layers_needed();  // throws for a layer the tower hasn't got
  out.vision->layers_needed();  // names a layer that does not exist
  const std::string strategy = config.string("vision_feature_select_strategy", "default");
  require(strategy == "default" || strategy == "full", "{}.vision_feature_select_strategy is \"{}\"; known are default, full",
          config.path(), strategy);
  // transformers drops the first row for "default" whatever it is, so a tower without a class token must be read "full".
  require(strategy == "full" || out.vision->class_embedding,
          "{}.vision_feature_select_strategy is \"default\", which drops the class token, but {} has none; expected \"full\"",
          config.path(), config.object("vision_config").string("model_type"));
  out.vision->keep_class_token = strategy == "full";
  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kMlp;
  connector.input_width = out.vision->feature_width();
  connector.output_width = out.decoder.hidden_size;
  connector.activation = nn::activation_from_name(config.string("projector_hidden_act", "gelu"));
  connector.bias = config.boolean("multimodal_projector_bias", true);
  out.connector = connector;
  // Newer configs say image_token_id; without either it is transformers' default.
  const char* token_key = config.has("image_token_index") ? "image_token_index" : "image_token_id";
  out.image_token_id = config.integer_in(token_key, 0, out.decoder.vocab_size - 1, 32000);
  require(out.image_token_id < out.decoder.vocab_size, "{}.{} {} lies outside the vocabulary of {}", config.path(), token_key,
          out.image_token_id, out.decoder.vocab_size);
  read_eos(config, out);
  return out;
}

ModelConfig from_ocelli(const JsonView& config) {
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(config.object("text_config"));
  if (config.has("vision_config")) {
    out.vision = vision::VisionConfig::from_json(config.object("vision_config"));
    out.vision->feature_layers = feature_layers(config, -1);
    out.vision->layers_needed();
    out.vision->layers_needed();  // names a layer that does not exist
    out.vision->keep_class_token = config.string("vision_feature_select_strategy", "default") == "full";
    out.connector = connector::ConnectorConfig::from_json(config.object("connector_config"), out.vision->feature_width(),
                                                          out.decoder.hidden_size);
    out.image_token_id = config.integer_in("image_token_id", 0, out.decoder.vocab_size - 1);
  }
  read_eos(config, out);
  return out;
}

bool is_llava(const ModelConfig& config) {
  if (!config.vision || !config.connector) return false;
  const vision::VisionConfig& tower = *config.vision;
  // "default" drops a first row, so without a class token only "full" says the same there.
  const bool same_rows = tower.class_embedding || tower.keep_class_token;
  return tower.stem_channels.empty() && !tower.apply_post_layernorm && same_rows &&
         config.connector->type == connector::ConnectorConfig::Type::kMlp && config.connector->hidden_width == 0;
}

}  // namespace

ModelConfig ModelConfig::from_json(const JsonView& config) {
  const std::string type = config.string("model_type");
  if (type == "llava") return from_llava(config);
  if (type == "ocelli") return from_ocelli(config);
  if (type == "llama") {
    ModelConfig out;
    out.model_type = type;
    out.decoder = language::DecoderConfig::from_json(config);
    read_eos(config, out);
    return out;
  }
  fail("{}.model_type is \"{}\"; known are llava, llama, ocelli", config.path(), type);
}

ModelConfig ModelConfig::load(const std::filesystem::path& folder) {
  require(std::filesystem::is_directory(folder), "model {}: no such folder", folder.string());
  const std::filesystem::path file = folder / "config.json";
  require(std::filesystem::exists(file), "model {}: config.json is missing; expected a Hugging Face model folder",
          folder.string());
  const Json json = read_json(file);
  ModelConfig out = from_json(JsonView(json, file.string()));
  // transformers' generate() ends where generation_config.json says: chat models name ends there that config.json does not.
  const std::filesystem::path generation_file = folder / "generation_config.json";
  if (std::filesystem::exists(generation_file)) {
    const Json generation = read_json(generation_file);
    const JsonView view(generation, generation_file.string());
    if (view.has("eos_token_id")) out.eos_token_ids = end_tokens(view);
  }
  return out;
}

Json ModelConfig::to_json() const {
  Json json;
  if (!vision) {
    json = decoder.to_json();
    json["architectures"] = {"LlamaForCausalLM"};
  } else {
    const bool llava = is_llava(*this);
    json["model_type"] = llava ? "llava" : "ocelli";
    json["text_config"] = decoder.to_json();
    json["vision_config"] = vision->to_json();
    json["tie_word_embeddings"] = decoder.tie_word_embeddings;
    json["image_token_id"] = image_token_id;
    // transformers 5 takes a plain 0 for no layer at all.
    if (vision->feature_layers.size() == 1 && vision->feature_layers[0] != 0) {
      json["vision_feature_layer"] = vision->feature_layers[0];
    } else {
      json["vision_feature_layer"] = vision->feature_layers;
    }
    json["vision_feature_select_strategy"] = vision->keep_class_token ? "full" : "default";
    if (llava) {
      json["architectures"] = {"LlavaForConditionalGeneration"};
      json["image_token_index"] = image_token_id;
      json["projector_hidden_act"] = nn::name_of(connector->activation);
      json["multimodal_projector_bias"] = connector->bias;
    } else {
      json["architectures"] = {"OcelliForConditionalGeneration"};
      json["connector_config"] = connector->to_json();
    }
  }
  if (bos_token_id >= 0) json["bos_token_id"] = bos_token_id;
  if (eos_token_ids.size() == 1) json["eos_token_id"] = eos_token_ids[0];
  if (eos_token_ids.size() > 1) json["eos_token_id"] = eos_token_ids;
  json["dtype"] = "float32";
  return json;
}

}  // namespace ocelli::model
