#pragma once

#include <cstdint>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/nn/activation.h"

namespace ocelli::vision {

/// A vision transformer, by the keys of Hugging Face's `vision_config`. CLIP, SigLIP and ocelli's own small towers are settings of it.
struct VisionConfig {
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_channels = 3;
  int64_t image_size = 0;
  int64_t patch_size = 0;             ///< pixels a patch is wide, also behind a stem
  nn::Activation hidden_act = nn::Activation::kGelu;
  double layer_norm_eps = 1e-6;
  bool class_embedding = false;       ///< a class token in front of the patches (CLIP)
  bool patch_bias = true;             ///< the patch convolution has a bias (SigLIP)
  bool pre_layernorm = false;         ///< normalised before the first block (CLIP)
  bool post_layernorm = true;         ///< the checkpoint holds a norm behind the last block …
  bool apply_post_layernorm = false;  ///< … which the features go through
  /// Blocks whose output is taken: index into the list of hidden states, 0 the embeddings, -1 the last block (`vision_feature_layer`).
  /// Several are concatenated along the width.
  std::vector<int64_t> feature_layers = {-1};
  bool keep_class_token = false;      ///< `vision_feature_select_strategy` "full"
  /// Output channels and strides of 3 x 3 convolutions, each with batch norm and ReLU, instead of the patch convolution (empty: none).
  /// The last has hidden_size channels; the strides multiply to patch_size. Source: Xiao et al., arXiv:2106.14881.
  std::vector<int64_t> stem_channels, stem_strides;
  double batch_norm_eps = 1e-5;
  double batch_norm_momentum = 0.1;

  /// `config` is a vision_config object with `model_type` clip_vision_model, siglip_vision_model or ocelli_vision.
  /// Throws Error naming key, value and what would be right.
  static VisionConfig from_json(const JsonView& config);
  Json to_json() const;

  /// Width of what a connector receives.
  int64_t feature_width() const { return hidden_size * static_cast<int64_t>(feature_layers.size()); }
  /// Blocks that must run to have every feature layer.
  int64_t layers_needed() const;
};

}  // namespace ocelli::vision
