#include "ocelli/vision/sam_config.h"

#include <algorithm>

namespace ocelli::vision {
namespace {

constexpr int64_t kWidest = 1 << 14;

/// The integers of a list, each within [low, high].
std::vector<int64_t> integers(const JsonView& config, std::string_view key, int64_t low, int64_t high) {
  std::vector<int64_t> out = config.integers(key);
  for (const int64_t value : out) {
    require(value >= low && value <= high, "{}: {} holds {}, expected integers from {} to {}", config.path(), key, value, low,
            high);
  }
  return out;
}

}  // namespace

SamConfig SamConfig::from_json(const JsonView& config) {
  SamConfig out;
  out.hidden_size = config.integer_in("hidden_size", 1, kWidest, out.hidden_size);
  const double ratio = config.number("mlp_ratio", 4.0);
  const auto from_ratio = static_cast<int64_t>(std::clamp(static_cast<double>(out.hidden_size) * ratio, 1.0, 8.0 * kWidest));
  out.mlp_dim = config.integer_in("mlp_dim", 1, 8 * kWidest, from_ratio);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 1, 512, out.num_hidden_layers);
  out.num_attention_heads = config.integer_in("num_attention_heads", 1, kWidest, out.num_attention_heads);
  config.integer_in("num_channels", 3, 3, 3);
  out.image_size = config.integer_in("image_size", 1, 1 << 14, out.image_size);
  out.patch_size = config.integer_in("patch_size", 1, out.image_size, out.patch_size);
  out.window_size = config.integer_in("window_size", 1, 1 << 10, out.window_size);
  if (config.has("global_attn_indexes")) out.global_attn_indexes = integers(config, "global_attn_indexes", 0, 511);
  out.qkv_bias = config.boolean("qkv_bias", true);
  out.use_abs_pos = config.boolean("use_abs_pos", true);
  out.use_rel_pos = config.boolean("use_rel_pos", true);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "gelu"));
  out.layer_norm_eps = config.number("layer_norm_eps", out.layer_norm_eps);
  out.output_channels = config.integer_in("output_channels", 1, kWidest, out.output_channels);
  if (config.has("downsample_channels")) out.downsample_channels = integers(config, "downsample_channels", 1, kWidest);
  require(out.downsample_channels.size() <= 4, "{}: {} downsample_channels, expected at most 4", config.path(),
          out.downsample_channels.size());
  out.downsample_grid = config.integer_in("downsample_grid", 1, 1 << 10, out.downsample_grid);
  require(out.downsample_grid << out.downsample_channels.size() <= 1 << 10,
          "{}: downsample_grid {} before {} halvings is more than 1024", config.path(), out.downsample_grid,
          out.downsample_channels.size());
  out.global_neck = config.boolean("global_neck", false);
  require(out.hidden_size % out.num_attention_heads == 0, "{}: hidden_size {} is no multiple of num_attention_heads {}",
          config.path(), out.hidden_size, out.num_attention_heads);
  // 256 x 256 patches: beyond, one head's scores over the whole picture would not be a few gigabytes any more.
  require(out.image_size / out.patch_size <= 256, "{}: image_size {} is more than 256 patches of {}", config.path(),
          out.image_size, out.patch_size);
  require(!out.global_neck || out.first_global_block() >= 0, "{}: global_neck without a block of global_attn_indexes below {}",
          config.path(), out.num_hidden_layers);
  return out;
}

Json SamConfig::to_json() const {
  Json json = {{"model_type", "sam_vision_model"},
               {"hidden_size", hidden_size},
               {"mlp_dim", mlp_dim},
               {"num_hidden_layers", num_hidden_layers},
               {"num_attention_heads", num_attention_heads},
               {"image_size", image_size},
               {"patch_size", patch_size},
               {"window_size", window_size},
               {"global_attn_indexes", global_attn_indexes},
               {"qkv_bias", qkv_bias},
               {"use_abs_pos", use_abs_pos},
               {"use_rel_pos", use_rel_pos},
               {"hidden_act", nn::name_of(hidden_act)},
               {"layer_norm_eps", layer_norm_eps},
               {"output_channels", output_channels}};
  if (!downsample_channels.empty()) {
    json["downsample_channels"] = downsample_channels;
    json["downsample_grid"] = downsample_grid;
  }
  if (global_neck) json["global_neck"] = true;
  return json;
}

bool SamConfig::is_global(int64_t block) const {
  return std::find(global_attn_indexes.begin(), global_attn_indexes.end(), block) != global_attn_indexes.end();
}

int64_t SamConfig::first_global_block() const {
  for (const int64_t block : global_attn_indexes) {
    if (block < num_hidden_layers) return block;
  }
  return -1;
}

}  // namespace ocelli::vision
