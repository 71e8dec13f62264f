#include "ocelli/vision/published_towers.h"

namespace ocelli::vision {
namespace {

constexpr int64_t kWidest = 1 << 16;

/// A side given as a number or as an equal pair.
int64_t square_side(const JsonView& config, const char* key, int64_t fallback) {
  constexpr int64_t kLargest = 1 << 14;
  if (!config.has(key) || !config.value()[key].is_array()) return config.integer_in(key, 1, kLargest, fallback);
  const std::vector<int64_t> sides = config.integers(key);
  require(sides.size() == 2 && sides[0] == sides[1] && sides[0] >= 1 && sides[0] <= kLargest,
          "{}.{} is {}, expected a number or two equal ones", config.path(), key, config.value()[key].dump());
  return sides[0];
}

void check_sizes(const JsonView& config, const VisionConfig& out) {
  require(out.hidden_size % out.num_attention_heads == 0, "{}: hidden_size {} is no multiple of num_attention_heads {}",
          config.path(), out.hidden_size, out.num_attention_heads);
  require(out.patch_size <= out.image_size, "{}: patch_size {} is larger than image_size {}", config.path(), out.patch_size,
          out.image_size);
}

/// What they share. The defaults are those of their configuration classes.
VisionConfig read_sizes(const JsonView& config, int64_t width, int64_t layers, int64_t heads, int64_t image_size) {
  VisionConfig out;
  out.hidden_size = config.integer_in("hidden_size", 1, kWidest, width);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 0, 512, layers);
  out.num_attention_heads = config.integer_in("num_attention_heads", 1, kWidest, heads);
  out.num_channels = config.integer_in("num_channels", 3, 3, 3);
  out.image_size = square_side(config, "image_size", image_size);
  out.patch_size = square_side(config, "patch_size", 14);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "gelu"));
  out.layer_norm_eps = config.number("layer_norm_eps", 1e-6);
  out.class_embedding = true;
  out.position_resize = PositionResize::kBicubic;
  check_sizes(config, out);
  return out;
}

nn::NormKind norm_of(const JsonView& config, const char* fallback) {
  const std::string type = config.string("norm_type", fallback);
  require(type == "layer_norm" || type == "rms_norm", "{}.norm_type is \"{}\"; known are layer_norm, rms_norm", config.path(),
          type);
  return type == "rms_norm" ? nn::NormKind::kRms : nn::NormKind::kLayer;
}

/// transformers' InternVLVisionConfig.
VisionConfig read_internvl(const JsonView& config) {
  VisionConfig out = read_sizes(config, 1024, 24, 16, 448);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest, 4096);
  out.query_bias = out.key_bias = out.value_bias = config.boolean("attention_bias", false);
  out.query_key_norm = config.boolean("use_qk_norm", false);
  out.norm = norm_of(config, "layer_norm");
  out.layer_scale = true;
  out.layer_scale_init = config.number("layer_scale_init_value", 0.1);
  require(config.boolean("use_absolute_position_embeddings", true),
          "{}.use_absolute_position_embeddings is false; this tower has learned positions", config.path());
  // Without mean pooling the last hidden state goes through a layer norm, whatever norm the blocks have.
  out.post_layernorm = out.apply_post_layernorm = !config.boolean("use_mean_pooling", true);
  require(!out.post_layernorm || out.norm == nn::NormKind::kLayer,
          "{}.use_mean_pooling is false beside norm_type rms_norm; expected true, or layer_norm", config.path());
  return out;
}

/// InternVL's own InternVisionConfig, of 6B and of 300M alike.
VisionConfig read_intern_vit(const JsonView& config) {
  VisionConfig out = read_sizes(config, 3200, 48, 25, 224);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest, 12800);
  out.query_bias = out.key_bias = out.value_bias = config.boolean("qkv_bias", false);
  out.query_key_norm = config.boolean("qk_normalization", true);
  out.norm = norm_of(config, "rms_norm");
  out.layer_scale = true;
  out.layer_scale_init = config.number("initializer_factor", 0.1);
  out.post_layernorm = false;
  return out;
}

/// transformers' Dinov2Config.
VisionConfig read_dinov2(const JsonView& config) {
  VisionConfig out = read_sizes(config, 768, 12, 12, 224);
  const double ratio = config.number("mlp_ratio", 4);
  const int64_t inner = static_cast<int64_t>(static_cast<double>(out.hidden_size) * ratio);
  require(ratio > 0 && inner >= 1 && inner <= 8 * kWidest, "{}.mlp_ratio is {}, which makes an MLP of {}", config.path(), ratio,
          inner);
  out.intermediate_size = inner;
  if (config.boolean("use_swiglu_ffn", false)) {
    out.gated_mlp = true;
    out.gated_norms = false;
    out.intermediate_size = (inner * 2 / 3 + 7) / 8 * 8;
  }
  out.query_bias = out.key_bias = out.value_bias = config.boolean("qkv_bias", true);
  out.layer_scale = true;
  out.layer_scale_init = config.number("layerscale_value", 1.0);
  out.apply_post_layernorm = true;
  return out;
}

/// transformers' Blip2VisionConfig: EVA-g, whose key bias is stored as zeros.
VisionConfig read_blip2(const JsonView& config) {
  VisionConfig out = read_sizes(config, 1408, 39, 16, 224);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest, 6144);
  out.query_bias = out.key_bias = out.value_bias = config.boolean("qkv_bias", true);
  out.apply_post_layernorm = true;
  return out;
}

}  // namespace

std::optional<VisionConfig> read_published_tower(const JsonView& config) {
  const std::string type = config.string("model_type");
  if (type == "internvl_vision") return read_internvl(config);
  if (type == "intern_vit_6b") return read_intern_vit(config);
  if (type == "dinov2") return read_dinov2(config);
  if (type == "blip_2_vision_model") return read_blip2(config);
  return std::nullopt;
}

Json internvl_vision_json(const VisionConfig& config) {
  const bool biased = config.query_bias;
  const bool says_all = config.class_embedding && config.layer_scale && config.patch_bias && !config.pre_layernorm &&
                        !config.branch_norm && !config.gated_mlp && config.rotary_span == 0 && config.stem_channels.empty() &&
                        config.key_bias == biased && config.value_bias == biased && config.norm != nn::NormKind::kRmsPlusOne &&
                        !config.feature_positions && config.post_layernorm == config.apply_post_layernorm;
  require(says_all, "vision tower: transformers' InternVLVisionConfig can't say it; expected the settings of an InternViT");
  return {{"model_type", "internvl_vision"},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.num_hidden_layers},
          {"num_attention_heads", config.num_attention_heads},
          {"image_size", {config.image_size, config.image_size}},
          {"patch_size", {config.patch_size, config.patch_size}},
          {"hidden_act", nn::name_of(config.hidden_act)},
          {"layer_norm_eps", config.layer_norm_eps},
          {"norm_type", config.norm == nn::NormKind::kRms ? "rms_norm" : "layer_norm"},
          {"attention_bias", biased},
          {"use_qk_norm", config.query_key_norm},
          {"layer_scale_init_value", config.layer_scale_init},
          {"use_mean_pooling", !config.post_layernorm}};
}

}  // namespace ocelli::vision
