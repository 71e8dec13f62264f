// Mini-Gemini: a CLIP tower whose patches mine a ConvNeXt's map.
#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/model/hf/family_list.h"
#include "ocelli/model/preprocessor_keys.h"
#include "ocelli/text/builtin_templates.h"

namespace ocelli::model::hf {
namespace {

using connector::ConnectorConfig;

constexpr const char* kTower = "model.vision_tower.vision_tower.vision_model.";
constexpr const char* kAuxTower = "model.vision_tower_aux.";

/// The decoder's `model_type` by the published one; empty: not of this family.
std::string_view decoder_type(const std::string& published) {
  if (published == "mgm") return "llama";
  if (published == "mgm_mistral") return "mistral";
  if (published == "mgm_gemma") return "gemma";
  return {};
}

bool matches(const JsonView& config) {
  return !decoder_type(config.string("model_type", "")).empty();
}

/// The conversation of mgm/serve/cli.py, which goes by the folder's name; its published models differ in decoder and vocabulary.
std::string_view conversation(const language::DecoderConfig& decoder) {
  if (decoder.model_type == "gemma") return "gemma";
  if (decoder.model_type == "mistral") return "mistral_instruct";
  if (decoder.vocab_size >= 128000) return "llama_3";
  return decoder.vocab_size >= 64000 ? "chatml_direct" : "vicuna_v1";
}

/// A JSON file of a tower's folder, which the config names relative to the model's; empty when it isn't there.
Json tower_file(const Source& source, std::string_view key, const char* name) {
  const std::string folder = source.config().string(key, "");
  if (source.folder().empty() || folder.empty() || folder.find("..") != std::string::npos || folder.front() == '/') return {};
  const std::filesystem::path file = source.folder() / folder / name;
  return std::filesystem::exists(file) ? read_json(file) : Json();
}

/// CLIP by its own config, or, where the folder isn't there, by the tensors, heads of 64; without any, as published.
vision::VisionConfig read_clip(const Source& source) {
  const Json file = tower_file(source, "mm_vision_tower", "config.json");
  const std::string where = source.config().path() + ": mm_vision_tower";
  if (file.is_object() && file.contains("vision_config")) {
    Json part = file["vision_config"];
    if (part.is_object()) part["model_type"] = "clip_vision_model";
    return vision::VisionConfig::from_json(JsonView(part, where));
  }
  if (!source.has_weights()) {
    require_published(source, "mm_hidden_size", source.config().integer("mm_hidden_size", 1024), "CLIP ViT-L/14 at 336", 1024);
    const Json part = {
        {"model_type", "clip_vision_model"}, {"hidden_size", 1024}, {"intermediate_size", 4096}, {"num_hidden_layers", 24},
        {"num_attention_heads", 16},         {"image_size", 336},   {"patch_size", 14}};
    return vision::VisionConfig::from_json(JsonView(part, where));
  }
  const std::string prefix = kTower;
  const auto patch = source.shape(prefix + "embeddings.patch_embedding.weight");
  const auto positions = source.shape(prefix + "embeddings.position_embedding.weight");
  require(patch.size() == 4 && positions.size() == 2 && positions[0] > 1,
          "{}: its embeddings have {} and {} dimensions, expected 4 and 2", where, patch.size(), positions.size());
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(positions[0] - 1))));
  const Json part = {{"model_type", "clip_vision_model"},
                     {"hidden_size", patch[0]},
                     {"intermediate_size", source.shape(prefix + "encoder.layers.0.mlp.fc1.weight").at(0)},
                     {"num_hidden_layers", source.count(prefix + "encoder.layers.", ".layer_norm1.weight")},
                     {"num_attention_heads", std::max<int64_t>(1, patch[0] / 64)},
                     {"image_size", side * patch[2]},
                     {"patch_size", patch[2]}};
  return vision::VisionConfig::from_json(JsonView(part, where));
}

/// By the tensors; without any, as published.
vision::VisionConfig read_convnext(const Source& source, int64_t image_size) {
  const std::string prefix = kAuxTower;
  Json part = {
      {"model_type", "convnext_tower"}, {"image_size", image_size}, {"hidden_sizes", Json::array()}, {"depths", Json::array()}};
  if (!source.has_weights()) {
    part["patch_size"] = 4;
    part["hidden_sizes"] = {192, 384, 768, 1536};
    part["depths"] = {3, 3, 27, 3};
    constexpr int64_t kWidths = 192 + 384 + 768 + 1536;
    require_published(source, "mm_hidden_size_aux", source.config().integer("mm_hidden_size_aux", kWidths), "OpenCLIP ConvNeXt-L",
                      kWidths);
    return vision::VisionConfig::from_json(JsonView(part, source.config().path() + ": mm_vision_tower_aux"));
  }
  part["patch_size"] = source.shape(prefix + "vision_stem.0.weight").at(2);
  for (int stage = 0;; ++stage) {
    const std::string blocks = fmt::format("{}vision_stages.{}.blocks.", prefix, stage);
    const int64_t depth = source.count(blocks, ".norm.weight");
    if (depth == 0) break;
    part["depths"].push_back(depth);
    part["hidden_sizes"].push_back(source.shape(blocks + "0.norm.weight").at(0));
  }
  return vision::VisionConfig::from_json(JsonView(part, source.config().path() + ": mm_vision_tower_aux"));
}

ModelConfig read(const Source& source) {
  const JsonView& given = source.config();
  ModelConfig out;
  Json text = given.value();
  text["model_type"] = decoder_type(given.string("model_type"));
  out.decoder = language::DecoderConfig::from_json(JsonView(text, given.path()));
  const int64_t aux_side = given.integer_in("image_size_aux", 1, 1 << 13);
  const int64_t grid = given.integer_in("image_grid", 1, 8, 1);
  const bool whole = grid > 1 && given.boolean("image_global", false);

  out.vision = read_clip(source);
  out.vision->feature_layers = {given.integer("mm_vision_select_layer", -2)};
  out.vision->layers_needed();  // throws for a layer the tower hasn't got
  const std::string feature = given.string("mm_vision_select_feature", "patch");
  require(feature == "patch", "{}.mm_vision_select_feature is \"{}\"; patches mine a map, so expected \"patch\"", given.path(),
          feature);
  out.aux_vision = read_convnext(source, aux_side);

  const std::string projector = given.string("mm_projector_type", "linear");
  require(projector == "mlp2x_gelu", "{}.mm_projector_type is \"{}\"; known is mlp2x_gelu", given.path(), projector);
  ConnectorConfig connector;
  connector.type = ConnectorConfig::Type::kPatchMining;
  connector.mining.image_grid = grid;
  connector.mining.image_global = whole;
  const int64_t patches = grid * (out.vision->image_size / out.vision->patch_size);
  const int64_t cells = aux_side / out.aux_vision->patch_size;
  require(cells > 0 && cells % patches == 0, "{}.image_size_aux {} gives {} cells a side, no multiple of {} patches",
          given.path(), aux_side, cells, patches);
  connector.mining.mining_scale = cells / patches;
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, out.aux_vision->feature_width());
  out.connector = connector;

  ImageProcessor images;
  images.shape =
      given.string("image_aspect_ratio", "square") == "pad" ? ImageProcessor::Shape::kPad : ImageProcessor::Shape::kShortestEdge;
  images.size = images.height = images.width = aux_side;
  images.filter = image::Filter::kBicubic;
  images.decode = image::DecodeOptions::pillow();
  const Json file = tower_file(source, "mm_vision_tower", "preprocessor_config.json");
  const Json given_numbers = file.is_object() ? file : Json::object();
  const JsonView numbers(given_numbers, "mm_vision_tower: preprocessor_config.json");
  images.mean = three_of(numbers, "image_mean", kClipMean);
  images.std = deviations_of(numbers, "image_std", kClipStd);
  images.second = SecondView{.kind = SecondView::Kind::kTiles, .side = out.vision->image_size, .grid = grid, .whole = whole};
  out.images = images;

  out.placeholder.token_id = -200;  // IMAGE_TOKEN_INDEX, no id of the tokenizer
  if (out.decoder.model_type == "gemma") {
    // transformers as it was then: GemmaModel multiplies everything it is given, visual tokens too, and obeys hidden_act.
    out.visual_scale = std::sqrt(static_cast<double>(out.decoder.hidden_size));
    out.decoder.hidden_act = nn::activation_from_name(given.string("hidden_act", "gelu"));
  }
  read_special_tokens(given, out);
  out.chat_template = text::builtin_template(conversation(out.decoder));
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  names.add(transformer_tower_names(), kTower, "vision_tower.");
  const std::string aux = kAuxTower;
  names.add({aux + "vision_stem.0.**", {"aux_tower.stem.conv.**"}});
  names.add({aux + "vision_stem.1.**", {"aux_tower.stem.norm.**"}});
  names.add({aux + "vision_stages.*.downsample.0.**", {"aux_tower.stages.*.downsample.norm.**"}});
  names.add({aux + "vision_stages.*.downsample.1.**", {"aux_tower.stages.*.downsample.conv.**"}});
  names.add({aux + "vision_stages.**", {"aux_tower.stages.**"}});
  for (const auto& [theirs, ours] : {std::pair{"query", "query"}, {"aux", "key"}, {"val", "value"}}) {
    const std::string published = fmt::format("model.vlm_uni_{}_projector.", theirs);
    const std::string own = fmt::format("multi_modal_projector.{}_proj.", ours);
    names.add({published + "0.**", {own + "norm.**"}});
    names.add({published + "1.**", {own + "linear.**"}});
  }
  names.add({"model.mm_projector.0.**", {"multi_modal_projector.linear_1.**"}});
  names.add({"model.mm_projector.2.**", {"multi_modal_projector.linear_2.**"}});
  names.add(decoder_names(config.decoder), "", "language_model.");
  return names;
}

}  // namespace

Family mini_gemini() {
  return {"mgm", matches, read, names, nullptr};
}

}  // namespace ocelli::model::hf
