#pragma once

#include <cstdint>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/nn/activation.h"

namespace ocelli::vision {

/// SAM's image encoder by the keys of transformers' SamVisionConfig, defaults as there (ViT-B), and DeepSeek-VL's additions.
struct SamConfig {
  int64_t hidden_size = 768;
  int64_t mlp_dim = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t image_size = 1024;
  int64_t patch_size = 16;
  int64_t window_size = 14;                                  ///< patches a side of a window
  std::vector<int64_t> global_attn_indexes = {2, 5, 8, 11};  ///< blocks that attend over the whole picture
  bool qkv_bias = true;
  bool use_abs_pos = true;
  bool use_rel_pos = true;
  nn::Activation hidden_act = nn::Activation::kGelu;
  double layer_norm_eps = 1e-6;
  int64_t output_channels = 256;  ///< of the neck
  /// Channels of 3 x 3 convolutions of stride 2 behind the neck; empty: none (SAM).
  std::vector<int64_t> downsample_channels = {};
  /// Rows and columns of the map after them. The neck's map is first resized bilinearly to what the convolutions halve to it.
  int64_t downsample_grid = 24;
  /// first_global_block()'s output, through a neck of its own and the same convolutions, is added times a learned number
  /// (DeepSeek-VL).
  bool global_neck = false;

  /// `config`: a vision_config object with `model_type` sam_vision_model. Throws Error naming key, value and what would be right.
  static SamConfig from_json(const JsonView& config);
  Json to_json() const;

  int64_t feature_width() const { return downsample_channels.empty() ? output_channels : downsample_channels.back(); }
  bool is_global(int64_t block) const;
  /// The first of global_attn_indexes that exists, in their order; -1: none.
  int64_t first_global_block() const;
};

}  // namespace ocelli::vision
