#include "ocelli/vision/qwen2_vision_config.h"

#include <algorithm>

namespace ocelli::vision {
namespace {

constexpr int64_t kWidest = 1 << 15;

}  // namespace

Qwen2VisionConfig Qwen2VisionConfig::from_json(const JsonView& config) {
  Qwen2VisionConfig out;
  out.windowed = config.string("model_type") == "qwen2_5_vl_vision";
  out.num_hidden_layers = config.integer_in("depth", 1, 512, out.num_hidden_layers);
  out.num_attention_heads = config.integer_in("num_heads", 1, kWidest, out.num_attention_heads);
  out.patch_size = config.integer_in("patch_size", 1, 1 << 10, out.patch_size);
  out.temporal_patch_size = config.integer_in("temporal_patch_size", 1, 16, out.temporal_patch_size);
  out.spatial_merge_size = config.integer_in("spatial_merge_size", 1, 16, out.spatial_merge_size);
  config.integer_in("in_channels", 3, 3, 3);
  if (out.windowed) {
    out.hidden_size = config.integer_in("hidden_size", 1, kWidest, 3584);
    out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest, 3420);
    out.hidden_act = nn::activation_from_name(config.string("hidden_act", "silu"));
    out.window_size = config.integer_in("window_size", 1, 1 << 14, out.window_size);
    require(out.window() >= 1, "{}.window_size {} holds no {} x {} patches of {}", config.path(), out.window_size,
            out.spatial_merge_size, out.spatial_merge_size, out.patch_size);
    if (config.has("fullatt_block_indexes")) out.fullatt_block_indexes = config.integers("fullatt_block_indexes");
  } else {
    out.hidden_size = config.integer_in("embed_dim", 1, kWidest, out.hidden_size);
    out.intermediate_size = out.hidden_size * config.integer_in("mlp_ratio", 1, 64, 4);
    out.hidden_act = nn::activation_from_name(config.string("hidden_act", "quick_gelu"));
  }
  require(out.hidden_size % (4 * out.num_attention_heads) == 0,
          "{}: a width of {} in {} heads; heads must be multiples of 4 wide for two rotated axes", config.path(), out.hidden_size,
          out.num_attention_heads);
  return out;
}

Json Qwen2VisionConfig::to_json(int64_t output_width) const {
  Json json = {{"model_type", windowed ? "qwen2_5_vl_vision" : "qwen2_vl_vision"},
               {"depth", num_hidden_layers},
               {"num_heads", num_attention_heads},
               {"patch_size", patch_size},
               {"temporal_patch_size", temporal_patch_size},
               {"spatial_merge_size", spatial_merge_size},
               {"in_channels", 3},
               {"hidden_act", nn::name_of(hidden_act)}};
  if (windowed) {
    json["hidden_size"] = hidden_size;
    json["intermediate_size"] = intermediate_size;
    json["out_hidden_size"] = output_width;
    json["window_size"] = window_size;
    json["fullatt_block_indexes"] = fullatt_block_indexes;
  } else {
    json["embed_dim"] = hidden_size;
    json["mlp_ratio"] = intermediate_size / hidden_size;
    json["hidden_size"] = output_width;
  }
  return json;
}

bool Qwen2VisionConfig::attends_everywhere(int64_t block) const {
  return !windowed || std::find(fullatt_block_indexes.begin(), fullatt_block_indexes.end(), block) != fullatt_block_indexes.end();
}

}  // namespace ocelli::vision
