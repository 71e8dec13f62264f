#pragma once

#include <cstdint>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/nn/activation.h"

namespace ocelli::vision {

/// Qwen2-VL's and Qwen2.5-VL's tower by the keys of transformers' Qwen2VLVisionConfig and Qwen2_5_VLVisionConfig, defaults as
/// there.
struct Qwen2VisionConfig {
  /// Qwen2.5-VL: RMS norms and a gated MLP, attention within windows but for some blocks. Else layer norms and a plain MLP.
  bool windowed = false;
  int64_t hidden_size = 1280;  ///< Qwen2-VL's `embed_dim`
  int64_t intermediate_size = 5120;
  int64_t num_hidden_layers = 32;    ///< `depth`
  int64_t num_attention_heads = 16;  ///< `num_heads`
  int64_t patch_size = 14;
  int64_t temporal_patch_size = 2;  ///< frames a patch is deep; a picture is as many equal frames
  int64_t spatial_merge_size = 2;   ///< patches a side that later become one token: grids are multiples of it
  int64_t window_size = 112;        ///< pixels a side
  std::vector<int64_t> fullatt_block_indexes = {7, 15, 23, 31};  ///< blocks that attend over the whole picture
  nn::Activation hidden_act = nn::Activation::kQuickGelu;

  /// `config`: a vision_config object with `model_type` qwen2_vl_vision or qwen2_5_vl_vision. Throws Error naming key, value and
  /// what would be right.
  static Qwen2VisionConfig from_json(const JsonView& config);
  /// What from_json() and transformers read back; `output_width`: the decoder's, which these configs name too.
  Json to_json(int64_t output_width) const;

  /// Patches a side of a window.
  int64_t window() const { return window_size / patch_size / spatial_merge_size * spatial_merge_size; }
  bool attends_everywhere(int64_t block) const;
};

}  // namespace ocelli::vision
