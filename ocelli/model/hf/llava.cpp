#include "ocelli/base/error.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

bool is_llava(const JsonView& config) {
  return config.string("model_type", "") == "llava";
}
bool is_llava_next(const JsonView& config) {
  return config.string("model_type", "") == "llava_next";
}

bool is_llava_onevision(const JsonView& config) {
  return config.string("model_type", "") == "llava_onevision";
}

/// What a config leaves out of each layout.
struct Defaults {
  const char *decoder, *tower;
  int64_t feature_layer;
  const char* strategy;
  int64_t image_token;
};
constexpr Defaults kLlava = {"llama", "clip_vision_model", -2, "default", 32000};
constexpr Defaults kOneVision = {"qwen2", "siglip_vision_model", -1, "full", 151646};

/// What all three share.
ModelConfig read_parts(const JsonView& given, const char* name, const Defaults& defaults) {
  Json filled = given.value();
  for (const auto& [key, type] : {std::pair{"text_config", defaults.decoder}, {"vision_config", defaults.tower}}) {
    if (filled.contains(key) && filled[key].is_object() && !filled[key].contains("model_type")) filled[key]["model_type"] = type;
  }
  const JsonView config(filled, given.path());
  ModelConfig out;
  out.family = name;
  const JsonView text = config.object("text_config");
  out.decoder = language::DecoderConfig::from_json(text);
  out.decoder.head_bias = false;  // the head is the whole model's, which has none
  if (config.boolean("tie_word_embeddings", false)) out.decoder.tie_word_embeddings = true;
  out.vision = vision::VisionConfig::from_json(config.object("vision_config"));
  out.vision->feature_layers = feature_layers(config, defaults.feature_layer);
  out.vision->layers_needed();  // throws for a layer the tower hasn't got
  const std::string strategy = config.string("vision_feature_select_strategy", defaults.strategy);
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
  out.placeholder.token_id = config.integer_in(token_key, 0, out.decoder.vocab_size - 1, defaults.image_token);
  require(out.placeholder.token_id < out.decoder.vocab_size, "{}.{} {} lies outside the vocabulary of {}", config.path(),
          token_key, out.placeholder.token_id, out.decoder.vocab_size);
  read_special_tokens(config, out);
  return out;
}

ModelConfig read_llava(const Source& source) {
  return read_parts(source.config(), "llava", kLlava);
}

/// The canvases, which the model's config repeats of the preprocessing table: transformers counts tiles by them.
void read_canvases(const JsonView& config, ModelConfig& out) {
  if (!config.has("image_grid_pinpoints")) return;
  ImageProcessor images;
  images.cut = ImageProcessor::Cut::kAnyRes;
  images.shape = ImageProcessor::Shape::kShortestEdge;
  images.mean = kClipMean;
  images.std = kClipStd;
  images.decode = image::DecodeOptions::pillow();
  images.size = images.height = images.width = images.anyres.tile_side = out.vision->image_size;
  images.anyres.canvases = canvases_from(config.value()["image_grid_pinpoints"], config.path(), image::PairOrder::kHeightWidth);
  out.images = images;
}

ModelConfig read_llava_next(const Source& source) {
  ModelConfig out = read_parts(source.config(), "llava_next", kLlava);
  require(!out.vision->class_embedding || !out.vision->keep_class_token,
          "{}.vision_feature_select_strategy is \"full\"; llava_next joins tiles as maps, which a class token has no place in",
          source.config().path());
  out.arrange.kind = connector::ArrangeConfig::Kind::kUnpadNewline;
  out.arrange.unpad = image::Unpad::kRounded;
  read_canvases(source.config(), out);
  return out;
}

ModelConfig read_llava_onevision(const Source& source) {
  const JsonView& config = source.config();
  ModelConfig out = read_parts(config, "llava_onevision", kOneVision);
  require(
      !out.vision->class_embedding || !out.vision->keep_class_token,
      "{}.vision_feature_select_strategy is \"full\"; llava_onevision joins tiles as maps, which a class token has no place in",
      config.path());
  out.arrange.kind = connector::ArrangeConfig::Kind::kUnpadNewline;
  out.arrange.unpad = image::Unpad::kRounded;
  const std::string aspect = config.string("vision_aspect_ratio", "anyres_max_9"), prefix = "anyres_max_";
  const std::string number = aspect.starts_with(prefix) ? aspect.substr(prefix.size()) : "";
  require(
      !number.empty() && number.size() <= 3 && number.find_first_not_of("0123456789") == std::string::npos && number[0] != '0',
      "{}.vision_aspect_ratio is \"{}\"; expected anyres_max_ and a number of tiles", config.path(), aspect);
  out.arrange.max_tiles = std::stoll(number);
  read_canvases(config, out);
  if (out.images) {
    ImageProcessor several = *out.images;
    several.cut = ImageProcessor::Cut::kNone;
    several.shape = ImageProcessor::Shape::kPad;
    out.images->shape = ImageProcessor::Shape::kSquash;
    out.images->several = std::make_shared<const ImageProcessor>(several);
  }
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  const NameMap tower = transformer_tower_names();
  const NameMap decoder = decoder_names(config.decoder);
  // As written; then the prefixes of transformers' generations: before 4.52, 4.52 to 4.x, 5; then a tower or a decoder alone.
  names.add({"vision_tower.vision_model.head.**", {}, Transform::kIgnore});
  names.add({"model.vision_tower.vision_model.head.**", {}, Transform::kIgnore});
  names.add({"model.vision_tower.head.**", {}, Transform::kIgnore});
  names.add({"vision_tower.vision_model.**", {"vision_tower.**"}, Transform::kSame, 0, true});
  names.add(tower, "vision_tower.", "vision_tower.");
  names.add({"multi_modal_projector.**", {"multi_modal_projector.**"}});
  names.add({"image_newline", {"arrange.image_newline"}});
  names.add(decoder, "language_model.", "language_model.");
  names.add({"model.vision_tower.vision_model.**", {"vision_tower.**"}, Transform::kSame, 0, true});
  names.add({"model.vision_tower.**", {"vision_tower.**"}, Transform::kSame, 0, true});
  names.add({"model.multi_modal_projector.**", {"multi_modal_projector.**"}, Transform::kSame, 0, true});
  names.add({"model.image_newline", {"arrange.image_newline"}, Transform::kSame, 0, true});
  names.add(decoder_body_names(config.decoder), "model.language_model.", "language_model.");
  names.add({"vision_model.head.**", {}, Transform::kIgnore});
  names.add({"vision_model.**", {"vision_tower.**"}, Transform::kSame, 0, true});
  for (const char* unused : {"text_model.**", "logit_scale", "logit_bias", "visual_projection.**", "text_projection.**"}) {
    names.add({unused, {}, Transform::kIgnore});
  }
  names.add(decoder, "", "language_model.");
  return names;
}

Json write_parts(const ModelConfig& config) {
  Json json;
  json["text_config"] = config.decoder.to_json();
  json["vision_config"] = config.vision->to_json();
  json["tie_word_embeddings"] = config.decoder.tie_word_embeddings;
  json["image_token_id"] = json["image_token_index"] = config.placeholder.token_id;
  // transformers 5 takes a plain 0 for no layer at all.
  if (config.vision->feature_layers.size() == 1 && config.vision->feature_layers[0] != 0) {
    json["vision_feature_layer"] = config.vision->feature_layers[0];
  } else {
    json["vision_feature_layer"] = config.vision->feature_layers;
  }
  json["vision_feature_select_strategy"] = config.vision->keep_class_token ? "full" : "default";
  json["projector_hidden_act"] = nn::name_of(config.connector->activation);
  json["multimodal_projector_bias"] = config.connector->bias;
  return json;
}

Json write_llava(const ModelConfig& config) {
  Json json = write_parts(config);
  json["model_type"] = "llava";
  json["architectures"] = {"LlavaForConditionalGeneration"};
  return json;
}

void write_canvases(const ModelConfig& config, Json& json) {
  if (!config.images) return;
  json["image_grid_pinpoints"] = Json::array();
  for (const image::Size& canvas : config.images->anyres.canvases) {
    json["image_grid_pinpoints"].push_back({canvas.height, canvas.width});
  }
}

Json write_llava_next(const ModelConfig& config) {
  Json json = write_parts(config);
  json["model_type"] = "llava_next";
  json["architectures"] = {"LlavaNextForConditionalGeneration"};
  write_canvases(config, json);
  return json;
}

Json write_llava_onevision(const ModelConfig& config) {
  Json json = write_parts(config);
  json["model_type"] = "llava_onevision";
  json["architectures"] = {"LlavaOnevisionForConditionalGeneration"};
  json["vision_aspect_ratio"] = "anyres_max_" + std::to_string(config.arrange.max_tiles);
  write_canvases(config, json);
  return json;
}

Json next_processor(const ModelConfig& config) {
  return {{"processor_class", "LlavaNextProcessor"},
          {"patch_size", config.vision->patch_size},
          {"vision_feature_select_strategy", config.vision->keep_class_token ? "full" : "default"},
          {"num_additional_image_tokens", config.vision->class_embedding ? 1 : 0}};
}

Json onevision_processor(const ModelConfig& config) {
  const int64_t side = config.vision->image_size / config.vision->patch_size;
  return {{"processor_class", "LlavaOnevisionProcessor"},
          {"num_image_tokens", side * side},
          {"vision_feature_select_strategy", config.vision->keep_class_token ? "full" : "default"},
          {"vision_aspect_ratio", "anyres_max_" + std::to_string(config.arrange.max_tiles)}};
}

Json llava_processor(const ModelConfig& config) {
  return {{"patch_size", config.vision->patch_size},
          {"vision_feature_select_strategy", config.vision->keep_class_token ? "full" : "default"},
          {"num_additional_image_tokens", config.vision->class_embedding ? 1 : 0}};
}

}  // namespace

Family llava() {
  return {"llava", is_llava, read_llava, names, write_llava, llava_processor};
}
Family llava_next() {
  return {"llava_next", is_llava_next, read_llava_next, names, write_llava_next, next_processor};
}
Family llava_onevision() {
  return {"llava_onevision", is_llava_onevision, read_llava_onevision, names, write_llava_onevision, onevision_processor};
}

}  // namespace ocelli::model::hf
