#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/image/image.h"
#include "ocelli/nn/activation.h"
#include "ocelli/nn/norm.h"
#include "ocelli/vision/convnext_config.h"
#include "ocelli/vision/qwen2_vision_config.h"
#include "ocelli/vision/sam_config.h"

namespace ocelli::vision {

/// What happens to the table of positions when a picture's grid of patches isn't the stored one.
enum class PositionResize {
  kNone,              ///< pictures have one size
  kBicubic,           ///< torch's bicubic, a = -0.75, without antialias (LAVIS, Qwen-VL, InternViT)
  kBicubicAntialias,  ///< a = -0.5 with antialias (timm, open_clip)
  /// Nothing is resized: a patch takes the stored row and column at its share of the picture (NaViT's, in Idefics3). In the
  /// reference's fp32 this now and then differs by one from the patch's own place also when the grids are equal.
  kBuckets,
};

/// (x - mean) / std over pixels in [0, 1].
struct InputNorm {
  std::array<float, 3> mean{};
  std::array<float, 3> std{1, 1, 1};
};

/// A picture cut into windows that one transformer sees apart and adapters join (TextMonkey).
struct WindowConfig {
  int64_t window = 0;  ///< patches a window is wide and high; 0: pictures are not cut
  image::Grid grid;    ///< patches of the whole picture, multiples of `window`
  bool global_view = true;
  /// Before which blocks an adapter stands, rising, and each one's width and heads.
  std::vector<int64_t> adapter_blocks, adapter_widths, adapter_heads;
};

/// A vision transformer, by the keys of Hugging Face's `vision_config`. CLIP, SigLIP, EVA, EVA-02, InternViT, bigG and ocelli's
/// own small towers are settings of it.
struct VisionConfig {
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_channels = 3;
  int64_t image_size = 0;
  int64_t patch_size = 0;  ///< pixels a patch is wide, also behind a stem
  nn::Activation hidden_act = nn::Activation::kGelu;
  nn::NormKind norm = nn::NormKind::kLayer;
  double layer_norm_eps = 1e-6;
  bool class_embedding = false;                                ///< a class token in front of the patches (CLIP)
  bool patch_bias = true;                                      ///< the patch convolution has a bias (SigLIP)
  bool query_bias = true, key_bias = true, value_bias = true;  ///< EVA has no key bias
  bool query_key_norm = false;  ///< RMS norm of queries and keys over the full width, before heads are split (InternViT-6B)
  bool layer_scale = false;     ///< each branch times a learned vector (InternViT)
  double layer_scale_init = 1.0;
  bool branch_norm = false;  ///< x + norm(f(x)) instead of x + f(norm(x)) (EVA2-CLIP-E)
  bool gated_mlp = false;    ///< SwiGLU (EVA-02, DINOv2-g)
  bool gated_norms = true;   ///< with gated_mlp: a norm before its closing projection and one before attention's (EVA-02)
  /// EVA-02: queries and keys of patches are rotated, half of a head by row and half by column, at positions i / rows * this; 0:
  /// not.
  double rotary_span = 0;
  image::Grid position_grid{0, 0};  ///< of the stored table of positions; none: that of image_size
  PositionResize position_resize = PositionResize::kNone;
  bool pre_layernorm = false;         ///< normalised before the first block (CLIP)
  bool post_layernorm = true;         ///< the checkpoint holds a norm behind the last block …
  bool apply_post_layernorm = false;  ///< … which the features go through
  double post_layernorm_eps = 0;      ///< 0: layer_norm_eps
  /// Blocks whose output is taken: index into the list of hidden states, 0 the embeddings, -1 the last block
  /// (`vision_feature_layer`). Several are concatenated along the width.
  std::vector<int64_t> feature_layers = {-1};
  bool keep_class_token = false;  ///< `vision_feature_select_strategy` "full"
  /// A learned position, one a patch of table_grid(), is added to the features (CogAgent's high-resolution tower).
  bool feature_positions = false;
  /// Output channels and strides of 3 x 3 convolutions, each with batch norm and ReLU, instead of the patch convolution (empty:
  /// none). The last has hidden_size channels; the strides multiply to patch_size. Source: Xiao et al., arXiv:2106.14881.
  std::vector<int64_t> stem_channels, stem_strides;
  double batch_norm_eps = 1e-5;
  double batch_norm_momentum = 0.1;
  WindowConfig windows;
  /// The tower is given pixels in [0, 1] and normalises them itself (DeepSeek-VL's own code).
  std::optional<InputNorm> input_norm;
  /// Towers that are no plain vision transformer. Above, only image_size, patch_size, hidden_size (the features' width) and
  /// input_norm speak of them: see of().
  std::optional<SamConfig> sam;
  std::optional<ConvNextConfig> convnext;
  std::optional<Qwen2VisionConfig> qwen2;

  static VisionConfig of(const SamConfig& sam);
  static VisionConfig of(const ConvNextConfig& convnext);
  static VisionConfig of(const Qwen2VisionConfig& qwen2);

  /// `config` is a vision_config object with `model_type` clip_vision_model, siglip_vision_model, sam_vision_model,
  /// qwen2_vl_vision, qwen2_5_vl_vision, convnext_tower, ocelli_vision (every field above under its own name) or one of
  /// published_towers.h. Throws Error naming key, value and what would be right.
  static VisionConfig from_json(const JsonView& config);
  Json to_json() const;
  /// The tower's own, clip_vision_model or siglip_vision_model when transformers' class says all of it, else ocelli_vision.
  std::string_view model_type() const;

  /// Whether views may have any size, not image_size alone.
  bool any_size() const { return qwen2.has_value() || position_resize != PositionResize::kNone; }
  /// position_grid, or the patches of image_size.
  image::Grid table_grid() const;
  /// Width of what a connector receives.
  int64_t feature_width() const { return hidden_size * static_cast<int64_t>(feature_layers.size()); }
  /// Blocks that must run to have every feature layer. Throws Error for a layer that does not exist.
  int64_t layers_needed() const;
};

}  // namespace ocelli::vision
