// InternVL: its own layout (`internvl_chat`: 1.5, Mini-InternVL and the later ones of that config) and transformers' class.
#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/model/hf/family_list.h"
#include "ocelli/model/processor.h"
#include "ocelli/text/builtin_templates.h"
#include "ocelli/vision/published_towers.h"

namespace ocelli::model::hf {
namespace {

namespace fs = std::filesystem;
using connector::ConnectorConfig;

constexpr std::string_view kContext = "<IMG_CONTEXT>", kBegin = "<img>", kEnd = "</img>";
/// Of the published InternLM2 checkpoints.
constexpr int64_t kPublishedContext = 92546;

/// The id of an added token by its text, from tokenizer.json or added_tokens.json; -1 when neither names it.
int64_t added_token(const Source& source, std::string_view text) {
  if (source.folder().empty()) return -1;
  const JsonLimits limits{.max_bytes = 256ULL << 20, .reject_duplicate_keys = false};
  if (const fs::path file = source.folder() / "tokenizer.json"; fs::exists(file)) {
    const Json json = read_json(file, limits);
    if (json.contains("added_tokens") && json["added_tokens"].is_array()) {
      for (const Json& token : json["added_tokens"]) {
        if (token.is_object() && token.value("content", "") == text) return token.value("id", int64_t{-1});
      }
    }
  }
  if (const fs::path file = source.folder() / "added_tokens.json"; fs::exists(file)) {
    const Json json = read_json(file, limits);
    if (json.contains(text) && json[std::string(text)].is_number_integer()) return json[std::string(text)].get<int64_t>();
  }
  return -1;
}

/// The folding by `downsample_ratio`: r = 1 / ratio, a whole number.
int64_t fold(const JsonView& config) {
  const double ratio = config.number("downsample_ratio", 0.5);
  const int64_t scale = ratio > 0 && ratio <= 1 ? static_cast<int64_t>(1 / ratio + 0.5) : 0;
  require(scale >= 1 && scale <= 16 && static_cast<double>(scale) * ratio == 1,
          "{}.downsample_ratio is {}, expected 1 / r for a whole r up to 16", config.path(), ratio);
  return scale;
}

ConnectorConfig projector(const JsonView& config, const ModelConfig& model) {
  ConnectorConfig out;
  out.type = ConnectorConfig::Type::kPixelShuffle;
  out.scale = fold(config);
  out.activation = nn::activation_from_name(config.string("projector_hidden_act", "gelu"));
  out.set_widths(model.vision->feature_width(), model.decoder.hidden_size, 0);
  return out;
}

// The original layout.

bool is_original(const JsonView& config) {
  return config.string("model_type", "") == "internvl_chat";
}

/// The tiles of InternVL's dynamic_preprocess, normalised as its build_transform does.
ImageProcessor tiles(const JsonView& config, int64_t side) {
  ImageProcessor out;
  out.shape = ImageProcessor::Shape::kSquash;
  out.cut = ImageProcessor::Cut::kInternVl;
  out.size = out.height = out.width = side;
  out.internvl.tile = {side, side};
  const bool dynamic = config.boolean("dynamic_image_size", false);
  out.internvl.min_tiles = dynamic ? config.integer_in("min_dynamic_patch", 1, 1024, 1) : 1;
  out.internvl.max_tiles = dynamic ? config.integer_in("max_dynamic_patch", out.internvl.min_tiles, 1024, 6) : 1;
  out.internvl.thumbnail = config.boolean("use_thumbnail", false);
  require(!config.boolean("pad2square", false), "{}.pad2square is true; pictures are stretched over their tiles, expected false",
          config.path());
  out.mean = {0.485F, 0.456F, 0.406F};
  out.std = {0.229F, 0.224F, 0.225F};
  out.decode = image::DecodeOptions::pillow();
  return out;
}

/// `template`, with the places of a picture as the model's chat() writes them.
std::string chat_template(const JsonView& config) {
  const std::string name = config.string("template", "");
  const auto known = text::builtin_template_names();
  if (std::find(known.begin(), known.end(), name) == known.end()) return {};
  return text::builtin_template(name, fmt::format("{}{}{}", kBegin, kContext, kEnd));
}

ModelConfig read_original(const Source& source) {
  const JsonView& config = source.config();
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(config.object("llm_config"));
  Json tower = config.object("vision_config").value();
  if (!tower.contains("model_type")) tower["model_type"] = "intern_vit_6b";
  out.vision = vision::VisionConfig::from_json(JsonView(tower, config.path() + ": vision_config"));
  const int64_t side = config.integer_in("force_image_size", out.vision->patch_size, 1 << 14, out.vision->image_size);
  out.vision->feature_layers = {config.integer("select_layer", -1)};
  out.vision->layers_needed();  // names a layer the tower hasn't got
  const std::string version = config.string("ps_version", "v1");
  require(version == "v2", "{}.ps_version is \"{}\"; known is v2 (v1 leaves the grid transposed)", config.path(), version);
  out.connector = projector(config, out);
  out.images = tiles(config, side);
  const int64_t context = added_token(source, kContext);
  out.placeholder.token_id = context >= 0 ? context : config.integer("img_context_token_id", kPublishedContext);
  out.placeholder.marker = kContext;
  require(out.placeholder.token_id < out.decoder.vocab_size, "{}: {} has id {}, outside the vocabulary of {}", config.path(),
          kContext, out.placeholder.token_id, out.decoder.vocab_size);
  out.chat_template = chat_template(config);
  read_special_tokens(config, out);
  return out;
}

NameMap names_original(const ModelConfig& config) {
  NameMap names;
  names.add(intern_vit_names(), "vision_model.", "vision_tower.");
  names.add({"mlp1.0.**", {"multi_modal_projector.layer_norm.**"}});
  names.add({"mlp1.1.**", {"multi_modal_projector.linear_1.**"}});
  names.add({"mlp1.3.**", {"multi_modal_projector.linear_2.**"}});
  names.add(decoder_names(config.decoder), "language_model.", "language_model.");
  return names;
}

// transformers' layout.

bool is_published(const JsonView& config) {
  return config.string("model_type", "") == "internvl";
}

/// Whether head and embedding are one: as the config says, else as the file does.
bool tied(const Source& source) {
  const JsonView& config = source.config();
  if (config.has("tie_word_embeddings")) return config.boolean("tie_word_embeddings");
  if (source.folder().empty()) return true;  // the class's default
  for (const char* head : {"language_model.lm_head.weight", "lm_head.weight"}) {
    if (source.weights().find(head) != nullptr) return false;
  }
  return true;
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(config.object("text_config"));
  out.decoder.tie_word_embeddings = tied(source);
  Json tower = config.object("vision_config").value();
  if (!tower.contains("model_type")) tower["model_type"] = "internvl_vision";
  out.vision = vision::VisionConfig::from_json(JsonView(tower, config.path() + ": vision_config"));
  const std::vector<int64_t> layers = feature_layers(config, -1);
  require(layers.size() == 1, "{}.vision_feature_layer has {} layers, expected one", config.path(), layers.size());
  out.vision->feature_layers = layers;
  out.vision->layers_needed();  // names a layer the tower hasn't got
  // hidden_states[i] is taken as it is; only the last hidden state is normalised.
  if (layers[0] != -1) out.vision->apply_post_layernorm = false;
  const std::string strategy = config.string("vision_feature_select_strategy", "default");
  require(strategy == "default",
          "{}.vision_feature_select_strategy is \"{}\"; a class token has no place in a folded map, "
          "expected \"default\"",
          config.path(), strategy);
  out.connector = projector(config, out);
  out.placeholder.token_id = config.integer_in("image_token_id", 0, out.decoder.vocab_size - 1, 151667);
  require(out.placeholder.token_id < out.decoder.vocab_size, "{}.image_token_id {} lies outside the vocabulary of {}",
          config.path(), out.placeholder.token_id, out.decoder.vocab_size);
  out.placeholder.begin_id = added_token(source, kBegin);
  out.placeholder.end_id = added_token(source, kEnd);
  if (out.placeholder.begin_id < 0 || out.placeholder.end_id < 0) out.placeholder.begin_id = out.placeholder.end_id = -1;
  const bool has_table =
      fs::exists(source.folder() / "preprocessor_config.json") || fs::exists(source.folder() / "processor_config.json");
  if (!source.folder().empty() && has_table) {
    // InternVLProcessor cuts pictures whatever the table's crop_to_patches is.
    ImageProcessor images = Processor::load_images(source.folder());
    images.cut = ImageProcessor::Cut::kInternVl;
    images.internvl.tile = {images.height, images.width};
    out.images = images;
  }
  read_special_tokens(config, out);
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  const NameMap decoder = decoder_names(config.decoder);
  names.add(internvl_vision_names(), "vision_tower.", "vision_tower.");
  names.add({"multi_modal_projector.**", {"multi_modal_projector.**"}});
  names.add(decoder, "language_model.", "language_model.");
  // transformers 4.52 to 4.x.
  NameMap older;
  older.add(internvl_vision_names(), "model.vision_tower.", "vision_tower.");
  older.add({"model.multi_modal_projector.**", {"multi_modal_projector.**"}});
  older.add({"model.language_model.**", {"language_model.model.**"}});
  older.add({"lm_head.**", {"language_model.lm_head.**"}});
  names.add(older, "", "");
  return names;
}

Json write(const ModelConfig& config) {
  const ConnectorConfig& connector = *config.connector;
  const int64_t side = config.vision->image_size / config.vision->patch_size / connector.scale;
  return {{"model_type", "internvl"},
          {"architectures", {"InternVLForConditionalGeneration"}},
          {"text_config", config.decoder.to_json()},
          {"vision_config", vision::internvl_vision_json(*config.vision)},
          {"tie_word_embeddings", config.decoder.tie_word_embeddings},
          {"image_token_id", config.placeholder.token_id},
          {"image_seq_length", side * side},
          {"downsample_ratio", 1.0 / static_cast<double>(connector.scale)},
          {"projector_hidden_act", nn::name_of(connector.activation)},
          {"vision_feature_layer", config.vision->feature_layers[0]},
          {"vision_feature_select_strategy", "default"}};
}

Json processor(const ModelConfig& config) {
  const int64_t side = config.vision->image_size / config.vision->patch_size / config.connector->scale;
  return {{"processor_class", "InternVLProcessor"}, {"image_seq_length", side * side}};
}

}  // namespace

Family internvl_original() {
  return {"internvl_original", is_original, read_original, names_original, nullptr};
}
Family internvl() {
  return {"internvl", is_published, read, names, write, processor};
}

}  // namespace ocelli::model::hf
