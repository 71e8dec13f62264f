#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/model/hf/family_list.h"
#include "ocelli/model/load.h"
#include "ocelli/text/builtin_templates.h"

namespace ocelli::model::hf {
namespace {

namespace fs = std::filesystem;

/// The id LLaVA's own code puts where a picture goes; it lies outside every vocabulary.
constexpr int64_t kImageToken = -200;

/// `mm_vision_tower` tells it from transformers' layout of the same `model_type`.
bool matches(const JsonView& config) {
  const std::string type = config.string("model_type", "");
  return config.has("mm_vision_tower") && config.has("mm_projector_type") && !config.has("mm_vision_tower_aux") &&
         (type == "llava" || type == "llava_llama" || type == "llava_mistral" || type == "mobilevlm");
}

connector::ConnectorConfig projector(const JsonView& config) {
  using Type = connector::ConnectorConfig::Type;
  connector::ConnectorConfig out;
  const std::string type = config.string("mm_projector_type", "linear");
  constexpr std::pair<std::string_view, Type> kKnown[] = {{"linear", Type::kLinear},
                                                          {"mlp2x_gelu", Type::kMlp},
                                                          {"mlp2x_gelu_Norm", Type::kNormedMlp},
                                                          {"ldpnet", Type::kLdp},
                                                          {"ldpnetv2", Type::kLdpV2}};
  for (const auto& [name, value] : kKnown) {
    if (name != type) continue;
    out.type = value;
    return out;
  }
  fail("{}.mm_projector_type is \"{}\"; known are linear, mlp2x_gelu, mlp2x_gelu_Norm, ldpnet, ldpnetv2", config.path(), type);
}

/// The tower's table, changed as `image_aspect_ratio` says.
ImageProcessor pictures(const Source& source, const fs::path& folder, int64_t side) {
  const JsonView& config = source.config();
  ImageProcessor out;
  if (fs::exists(folder / "preprocessor_config.json")) {
    const Json json = read_json(folder / "preprocessor_config.json");
    out = ImageProcessor::from_json(JsonView(json, (folder / "preprocessor_config.json").string()));
  } else {
    out.mean = kClipMean;
    out.std = kClipStd;
    out.shape = ImageProcessor::Shape::kShortestEdge;
    out.size = out.height = out.width = side;
    out.decode = image::DecodeOptions::pillow();
  }
  const std::string aspect = config.string("image_aspect_ratio", "square");
  if (aspect == "pad") {
    out.shape = ImageProcessor::Shape::kPad;
  } else if (aspect == "anyres") {
    require(config.has("image_grid_pinpoints") && config.value()["image_grid_pinpoints"].is_array(),
            "{}.image_grid_pinpoints is missing: the canvases a picture may be cut into", config.path());
    out.cut = ImageProcessor::Cut::kAnyRes;
    out.anyres.tile_side = side;
    out.anyres.canvases = canvases_from(config.value()["image_grid_pinpoints"], config.path(), image::PairOrder::kWidthHeight);
  } else {
    require(aspect == "square", "{}.image_aspect_ratio is \"{}\"; known are square, pad, anyres", config.path(), aspect);
  }
  return out;
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  ModelConfig out;
  Json text = config.value();
  text["model_type"] = config.string("model_type") == "llava_mistral" ? "mistral" : "llama";
  out.decoder = language::DecoderConfig::from_json(JsonView(text, config.path()));
  const fs::path folder = named_folder(source, "mm_vision_tower");
  out.vision = named_tower(source, folder);
  const std::string feature = config.string("mm_vision_select_feature", "patch");
  require(feature == "patch" || feature == "cls_patch", "{}.mm_vision_select_feature is \"{}\"; known are patch, cls_patch",
          config.path(), feature);
  out.vision->keep_class_token = feature == "cls_patch";
  out.connector = projector(config);
  out.connector->set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  out.images = pictures(source, folder, out.vision->image_size);
  if (config.string("mm_patch_merge_type", "flat") == "spatial_unpad" && out.images->cut == ImageProcessor::Cut::kAnyRes) {
    out.arrange.kind = connector::ArrangeConfig::Kind::kUnpadNewline;
  }
  // A tower that was not tuned is not in the checkpoint.
  if (source.has_weights() &&
      source.weights().find("model.vision_tower.vision_tower.vision_model.embeddings.class_embedding") == nullptr)
    out.vision_folder = folder;
  using Type = connector::ConnectorConfig::Type;
  out.chat_template = text::builtin_template(out.connector->type == Type::kNormedMlp ? "yi_vl"
                                             : out.decoder.model_type == "mistral"   ? "mistral_instruct"
                                                                                     : "vicuna_v1");
  out.placeholder.marker = text::builtin_template_marker(out.connector->type == Type::kNormedMlp ? "yi_vl" : "vicuna_v1");
  out.placeholder.token_id = kImageToken;
  read_special_tokens(config, out);
  return out;
}

NameMap projector_names(connector::ConnectorConfig::Type type) {
  using Type = connector::ConnectorConfig::Type;
  NameMap names;
  const std::string from = "model.mm_projector.", to = "multi_modal_projector.";
  const auto add = [&](std::string_view published, std::string_view ours, Transform transform = Transform::kSame,
                       int64_t argument = 0) {
    names.add({from + std::string(published), {to + std::string(ours)}, transform, argument});
  };
  switch (type) {
    case Type::kLinear:
      add("**", "linear_1.**");
      break;
    case Type::kNormedMlp:
      add("0.**", "linear_1.**");
      add("1.**", "norm_1.**");
      add("3.**", "linear_2.**");
      add("4.**", "norm_2.**");
      break;
    case Type::kLdp:
      names.add(ldp_names(), from, to);
      break;
    case Type::kLdpV2:
      names.add(ldp_v2_names(), from, to);
      break;
    default:
      add("0.**", "linear_1.**");
      add("2.**", "linear_2.**");
  }
  return names;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  names.add({"model.vision_tower.vision_tower.vision_model.embeddings.position_ids", {}, Transform::kIgnore});
  names.add({"model.vision_tower.vision_tower.vision_model.**", {"vision_tower.**"}});
  names.add(projector_names(config.connector->type), "", "");
  names.add({"model.image_newline", {"arrange.image_newline"}});
  names.add(decoder_names(config.decoder), "", "language_model.");
  return names;
}

}  // namespace

Family llava_original() {
  return {"llava_original", matches, read, names, nullptr};
}

}  // namespace ocelli::model::hf
