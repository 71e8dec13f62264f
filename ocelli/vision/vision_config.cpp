#include "ocelli/vision/vision_config.h"

#include <algorithm>

#include "ocelli/base/named_values.h"
#include "ocelli/vision/published_towers.h"

namespace ocelli::vision {
namespace {

constexpr int64_t kMostLayers = 512;
constexpr int64_t kWidest = 1 << 16;

constexpr std::pair<std::string_view, PositionResize> kResizes[] = {{"none", PositionResize::kNone},
                                                                    {"bicubic", PositionResize::kBicubic},
                                                                    {"bicubic_antialias", PositionResize::kBicubicAntialias},
                                                                    {"buckets", PositionResize::kBuckets}};
constexpr std::pair<std::string_view, nn::NormKind> kNorms[] = {
    {"layer_norm", nn::NormKind::kLayer}, {"rms_norm", nn::NormKind::kRms}, {"rms_norm_plus_one", nn::NormKind::kRmsPlusOne}};

void read_stem(const JsonView& config, VisionConfig& out) {
  for (const auto& [key, target] : {std::pair{"stem_channels", &out.stem_channels}, {"stem_strides", &out.stem_strides}}) {
    if (!config.has(key)) continue;
    *target = config.integers(key);
  }
  require(out.stem_channels.size() == out.stem_strides.size(), "{}: {} stem_channels do not go with {} stem_strides",
          config.path(), out.stem_channels.size(), out.stem_strides.size());
  int64_t stride = 1;
  for (size_t i = 0; i < out.stem_strides.size(); ++i) {
    require(out.stem_channels[i] > 0 && out.stem_channels[i] <= kWidest && out.stem_strides[i] >= 1 && out.stem_strides[i] <= 4,
            "{}: stem convolution {} has {} channels and stride {}", config.path(), i, out.stem_channels[i], out.stem_strides[i]);
    stride *= out.stem_strides[i];
  }
  require(out.stem_channels.empty() || out.image_size % out.patch_size == 0,
          "{}.image_size is {}, expected a multiple of patch_size {} behind a stem", config.path(), out.image_size,
          out.patch_size);
  require(out.stem_channels.empty() || (out.stem_channels.back() == out.hidden_size && stride == out.patch_size),
          "{}: the stem ends with {} channels and stride {}, expected hidden_size {} and patch_size {}", config.path(),
          out.stem_channels.empty() ? 0 : out.stem_channels.back(), stride, out.hidden_size, out.patch_size);
  out.batch_norm_eps = config.number("batch_norm_eps", 1e-5);
  out.batch_norm_momentum = config.number("batch_norm_momentum", 0.1);
}

void read_input_norm(const JsonView& config, VisionConfig& out) {
  if (!config.has("input_mean") && !config.has("input_std")) return;
  const std::vector<double> mean = config.numbers("input_mean"), std = config.numbers("input_std");
  require(mean.size() == 3 && std.size() == 3, "{}: input_mean and input_std have {} and {} numbers, expected 3", config.path(),
          mean.size(), std.size());
  out.input_norm.emplace();
  for (size_t c = 0; c < 3; ++c) {
    require(std[c] > 0, "{}.input_std holds {}, expected positive numbers", config.path(), std[c]);
    out.input_norm->mean[c] = static_cast<float>(mean[c]);
    out.input_norm->std[c] = static_cast<float>(std[c]);
  }
}

void read_windows(const JsonView& config, WindowConfig& out) {
  out.window = config.integer_in("window", 0, 1 << 12, 0);
  if (out.window == 0) return;
  out.grid.rows = config.integer_in("window_grid_rows", out.window, 1 << 12);
  out.grid.columns = config.integer_in("window_grid_columns", out.window, 1 << 12);
  out.global_view = config.boolean("global_view", true);
  for (const auto& [key, target] : {std::pair{"adapter_blocks", &out.adapter_blocks},
                                    {"adapter_widths", &out.adapter_widths},
                                    {"adapter_heads", &out.adapter_heads}}) {
    if (config.has(key)) *target = config.integers(key);
  }
}

/// Every field under its own name.
void read_spelled_out(const JsonView& config, VisionConfig& out) {
  for (const auto& [key, target] : {std::pair{"class_embedding", &out.class_embedding},
                                    {"patch_bias", &out.patch_bias},
                                    {"query_bias", &out.query_bias},
                                    {"key_bias", &out.key_bias},
                                    {"value_bias", &out.value_bias},
                                    {"query_key_norm", &out.query_key_norm},
                                    {"layer_scale", &out.layer_scale},
                                    {"branch_norm", &out.branch_norm},
                                    {"gated_mlp", &out.gated_mlp},
                                    {"gated_norms", &out.gated_norms},
                                    {"feature_positions", &out.feature_positions},
                                    {"pre_layernorm", &out.pre_layernorm},
                                    {"post_layernorm", &out.post_layernorm}}) {
    *target = config.boolean(key, *target);
  }
  out.apply_post_layernorm = config.boolean("apply_post_layernorm", true);
  require(out.post_layernorm || !out.apply_post_layernorm, "{}: apply_post_layernorm without post_layernorm", config.path());
  out.layer_scale_init = config.number("layer_scale_init", out.layer_scale_init);
  out.rotary_span = config.number("rotary_span", 0);
  out.post_layernorm_eps = config.number("post_layernorm_eps", 0);
  out.norm = named_value(config, "norm", kNorms, out.norm);
  out.position_resize = named_value(config, "position_resize", kResizes, out.position_resize);
  out.position_grid.rows = config.integer_in("position_rows", 0, 1 << 12, 0);
  out.position_grid.columns = config.integer_in("position_columns", 0, 1 << 12, 0);
  read_stem(config, out);
  read_input_norm(config, out);
  read_windows(config, out.windows);
}

}  // namespace

VisionConfig VisionConfig::of(const SamConfig& sam) {
  VisionConfig out;
  out.sam = sam;
  out.image_size = sam.image_size;
  out.patch_size = sam.patch_size;
  out.hidden_size = sam.feature_width();
  return out;
}

VisionConfig VisionConfig::of(const ConvNextConfig& convnext) {
  VisionConfig out;
  out.convnext = convnext;
  out.image_size = convnext.image_size;
  out.patch_size = convnext.patch_size;
  out.hidden_size = convnext.feature_width();
  return out;
}

VisionConfig VisionConfig::of(const Qwen2VisionConfig& qwen2) {
  VisionConfig out;
  out.qwen2 = qwen2;
  out.patch_size = qwen2.patch_size;
  out.image_size = qwen2.patch_size * qwen2.spatial_merge_size;  // the smallest there is
  out.hidden_size = qwen2.hidden_size;
  return out;
}

VisionConfig VisionConfig::from_json(const JsonView& config) {
  VisionConfig out;
  const std::string type = config.string("model_type");
  if (type == "sam_vision_model" || type == "convnext_tower") {
    out = type == "sam_vision_model" ? of(SamConfig::from_json(config)) : of(ConvNextConfig::from_json(config));
    read_input_norm(config, out);
    return out;
  }
  if (const auto published = read_published_tower(config)) return *published;
  if (type == "qwen2_vl_vision" || type == "qwen2_5_vl_vision") return of(Qwen2VisionConfig::from_json(config));
  const bool clip = type == "clip_vision_model";
  const bool siglip = type == "siglip_vision_model";
  require(clip || siglip || type == "ocelli_vision",
          "{}.model_type is \"{}\"; known are clip_vision_model, siglip_vision_model, internvl_vision, intern_vit_6b, dinov2, "
          "blip_2_vision_model, sam_vision_model, convnext_tower, ocelli_vision",
          config.path(), type);
  // Defaults are those of transformers' configuration classes, which leave out what equals them.
  out.hidden_size = config.integer_in("hidden_size", 1, kWidest, 768);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest, 3072);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 0, kMostLayers, 12);
  out.num_attention_heads = config.integer_in("num_attention_heads", 1, kWidest, 12);
  out.num_channels = config.integer_in("num_channels", 3, 3, 3);
  out.image_size = config.integer_in("image_size", 1, 1 << 14, 224);
  out.patch_size = config.integer_in("patch_size", 1, out.image_size, clip ? 32 : 16);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", clip     ? "quick_gelu"
                                                                        : siglip ? "gelu_pytorch_tanh"
                                                                                 : "gelu"));
  out.layer_norm_eps = config.number("layer_norm_eps", clip ? 1e-5 : 1e-6);
  require(out.hidden_size % out.num_attention_heads == 0, "{}: hidden_size {} is no multiple of num_attention_heads {}",
          config.path(), out.hidden_size, out.num_attention_heads);
  require(!siglip || out.image_size / out.patch_size > 0, "{}: image_size {} is smaller than a patch", config.path(),
          out.image_size);
  out.class_embedding = clip;
  out.patch_bias = !clip;
  out.pre_layernorm = clip;
  if (type == "ocelli_vision") read_spelled_out(config, out);
  return out;
}

std::string_view VisionConfig::model_type() const {
  if (sam) return "sam_vision_model";
  if (convnext) return "convnext_tower";
  if (qwen2) return qwen2->windowed ? "qwen2_5_vl_vision" : "qwen2_vl_vision";
  const image::Grid native{image_size / patch_size, image_size / patch_size};
  const bool plain = stem_channels.empty() && windows.window == 0 && norm == nn::NormKind::kLayer && query_bias && key_bias &&
                     value_bias && !query_key_norm && !layer_scale && !branch_norm && !gated_mlp && rotary_span == 0 &&
                     position_resize == PositionResize::kNone && table_grid() == native && post_layernorm &&
                     !apply_post_layernorm && post_layernorm_eps == 0 && !feature_positions && !input_norm;
  if (plain && class_embedding && pre_layernorm && !patch_bias) return "clip_vision_model";
  if (plain && !class_embedding && !pre_layernorm && patch_bias) return "siglip_vision_model";
  return "ocelli_vision";
}

Json VisionConfig::to_json() const {
  const std::string_view type = model_type();
  if (qwen2) return qwen2->to_json(qwen2->hidden_size);
  if (sam || convnext) {
    Json json = sam ? sam->to_json() : convnext->to_json();
    if (input_norm) json.update({{"input_mean", input_norm->mean}, {"input_std", input_norm->std}});
    return json;
  }
  Json json = {{"model_type", type},
               {"hidden_size", hidden_size},
               {"intermediate_size", intermediate_size},
               {"num_hidden_layers", num_hidden_layers},
               {"num_attention_heads", num_attention_heads},
               {"num_channels", num_channels},
               {"image_size", image_size},
               {"patch_size", patch_size},
               {"hidden_act", nn::name_of(hidden_act)},
               {"layer_norm_eps", layer_norm_eps}};
  if (type == "siglip_vision_model") json["vision_use_head"] = false;
  if (type != "ocelli_vision") return json;
  json.update({{"class_embedding", class_embedding},
               {"patch_bias", patch_bias},
               {"query_bias", query_bias},
               {"key_bias", key_bias},
               {"value_bias", value_bias},
               {"query_key_norm", query_key_norm},
               {"layer_scale", layer_scale},
               {"layer_scale_init", layer_scale_init},
               {"branch_norm", branch_norm},
               {"gated_mlp", gated_mlp},
               {"gated_norms", gated_norms},
               {"feature_positions", feature_positions},
               {"rotary_span", rotary_span},
               {"norm", name_of(norm, kNorms)},
               {"position_resize", name_of(position_resize, kResizes)},
               {"position_rows", position_grid.rows},
               {"position_columns", position_grid.columns},
               {"pre_layernorm", pre_layernorm},
               {"post_layernorm", post_layernorm},
               {"apply_post_layernorm", apply_post_layernorm},
               {"post_layernorm_eps", post_layernorm_eps},
               {"stem_channels", stem_channels},
               {"stem_strides", stem_strides},
               {"batch_norm_eps", batch_norm_eps},
               {"batch_norm_momentum", batch_norm_momentum}});
  if (windows.window > 0) {
    json.update({{"window", windows.window},
                 {"window_grid_rows", windows.grid.rows},
                 {"window_grid_columns", windows.grid.columns},
                 {"global_view", windows.global_view},
                 {"adapter_blocks", windows.adapter_blocks},
                 {"adapter_widths", windows.adapter_widths},
                 {"adapter_heads", windows.adapter_heads}});
  }
  if (input_norm) json.update({{"input_mean", input_norm->mean}, {"input_std", input_norm->std}});
  return json;
}

image::Grid VisionConfig::table_grid() const {
  return position_grid.count() > 0 ? position_grid : image::Grid{image_size / patch_size, image_size / patch_size};
}

int64_t VisionConfig::layers_needed() const {
  int64_t needed = 0;
  for (const int64_t layer : feature_layers) {
    const int64_t index = layer < 0 ? num_hidden_layers + 1 + layer : layer;
    require(index >= 0 && index <= num_hidden_layers, "vision tower: feature layer {} does not exist in {} blocks", layer,
            num_hidden_layers);
    needed = std::max(needed, index);
  }
  return needed;
}

}  // namespace ocelli::vision
