#include "ocelli/vision/vision_config.h"

#include <algorithm>

namespace ocelli::vision {
namespace {

constexpr int64_t kMostLayers = 512;
constexpr int64_t kWidest = 1 << 16;

}  // namespace

VisionConfig VisionConfig::from_json(const JsonView& config) {
  VisionConfig out;
  const std::string type = config.string("model_type");
  const bool clip = type == "clip_vision_model";
  const bool siglip = type == "siglip_vision_model";
  require(clip || siglip || type == "ocelli_vision",
          "{}.model_type is \"{}\"; known are clip_vision_model, siglip_vision_model, ocelli_vision", config.path(), type);
  // Defaults are those of transformers' configuration classes, which leave out what equals them.
  out.hidden_size = config.integer_in("hidden_size", 1, kWidest, 768);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest, 3072);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 0, kMostLayers, 12);
  out.num_attention_heads = config.integer_in("num_attention_heads", 1, kWidest, 12);
  out.num_channels = config.integer_in("num_channels", 3, 3, 3);
  out.image_size = config.integer_in("image_size", 1, 1 << 14, 224);
  out.patch_size = config.integer_in("patch_size", 1, out.image_size, clip ? 32 : 16);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", clip ? "quick_gelu" : siglip ? "gelu_pytorch_tanh" : "gelu"));
  out.layer_norm_eps = config.number("layer_norm_eps", clip ? 1e-5 : 1e-6);
  require(out.hidden_size % out.num_attention_heads == 0, "{}: hidden_size {} is no multiple of num_attention_heads {}", config.path(),
          out.hidden_size, out.num_attention_heads);
  require(!siglip || out.image_size / out.patch_size > 0, "{}: image_size {} is smaller than a patch", config.path(), out.image_size);
  out.class_embedding = clip;
  out.patch_bias = !clip;
  out.pre_layernorm = clip;
  if (type == "ocelli_vision") {
    out.apply_post_layernorm = config.boolean("apply_post_layernorm", true);
    for (const auto& [key, target] : {std::pair{"stem_channels", &out.stem_channels}, {"stem_strides", &out.stem_strides}}) {
      if (!config.has(key)) continue;
      for (const double value : config.numbers(key)) target->push_back(static_cast<int64_t>(value));
    }
    require(out.stem_channels.size() == out.stem_strides.size(), "{}: {} stem_channels do not go with {} stem_strides", config.path(),
            out.stem_channels.size(), out.stem_strides.size());
    int64_t stride = 1;
    for (size_t i = 0; i < out.stem_strides.size(); ++i) {
      require(out.stem_channels[i] > 0 && out.stem_channels[i] <= kWidest && out.stem_strides[i] >= 1 && out.stem_strides[i] <= 4,
              "{}: stem convolution {} has {} channels and stride {}", config.path(), i, out.stem_channels[i], out.stem_strides[i]);
      stride *= out.stem_strides[i];
    }
    require(out.stem_channels.empty() || (out.stem_channels.back() == out.hidden_size && stride == out.patch_size),
            "{}: the stem ends with {} channels and stride {}, expected hidden_size {} and patch_size {}", config.path(),
            out.stem_channels.empty() ? 0 : out.stem_channels.back(), stride, out.hidden_size, out.patch_size);
    out.batch_norm_eps = config.number("batch_norm_eps", 1e-5);
    out.batch_norm_momentum = config.number("batch_norm_momentum", 0.1);
  }
  return out;
}

Json VisionConfig::to_json() const {
  Json json = {{"hidden_size", hidden_size},
               {"intermediate_size", intermediate_size},
               {"num_hidden_layers", num_hidden_layers},
               {"num_attention_heads", num_attention_heads},
               {"num_channels", num_channels},
               {"image_size", image_size},
               {"patch_size", patch_size},
               {"hidden_act", nn::name_of(hidden_act)},
               {"layer_norm_eps", layer_norm_eps}};
  if (class_embedding) {
    json["model_type"] = "clip_vision_model";
  } else if (!apply_post_layernorm && stem_channels.empty()) {
    json["model_type"] = "siglip_vision_model";
    json["vision_use_head"] = false;
  } else {
    json["model_type"] = "ocelli_vision";
    json["apply_post_layernorm"] = apply_post_layernorm;
    json["stem_channels"] = stem_channels;
    json["stem_strides"] = stem_strides;
    json["batch_norm_eps"] = batch_norm_eps;
    json["batch_norm_momentum"] = batch_norm_momentum;
  }
  return json;
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
