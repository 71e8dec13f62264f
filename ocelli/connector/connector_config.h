#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ocelli/base/json.h"
#include "ocelli/connector/qformer_config.h"
#include "ocelli/image/image.h"
#include "ocelli/nn/activation.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

// Widths of zero in the structs below are filled in from the parts on both sides by ConnectorConfig::from_json().

/// `concat_neighbours`.
struct ConcatNeighboursConfig {
  int64_t input_width = 0;
  int64_t output_width = 0;
  int64_t neighbours = 4;  ///< patches of a row that become one token
};

/// `resampler`.
struct ResamplerConfig {
  int64_t input_width = 0;    ///< of the tower's features
  int64_t output_width = 0;   ///< of queries and of the decoder; a multiple of 4
  int64_t num_queries = 256;  ///< a square: queries have positions on a square grid
  int64_t num_heads = 0;      ///< 0: one for every 128 of output_width, as published
  /// Key positions of a grid other than the queries': the stored table resized by torch's bicubic (Qwen-VL, TextMonkey, MiniCPM-V
  /// 1), or computed anew for that grid (`adaptive`: MiniCPM-V 2).
  bool adaptive_positions = false;
  bool post_projection = true;  ///< a norm and a square projection behind the attention
  double layer_norm_eps = 1e-6;

  /// Throws Error naming the field, its value and what would be right.
  void validate() const;
};

/// Part of `window_resampler`.
struct TokenResamplerConfig {
  int64_t width = 0;         ///< of the tokens
  int64_t inner_width = 0;   ///< of the attention's input and output
  int64_t num_tokens = 512;  ///< kept (`r`)
  int64_t num_heads = 8;
  int64_t head_dim = 128;
};

/// `window_resampler`.
struct WindowResamplerConfig {
  ResamplerConfig view;                       ///< of each view on its own
  int64_t num_windows = 4;                    ///< views that show parts of the picture
  bool global_view = true;                    ///< one more behind them shows all of it
  std::optional<TokenResamplerConfig> local;  ///< over the windows' tokens together; without, all stay
};

/// `ldp` and `ldp_v2`.
struct LdpConfig {
  int64_t input_width = 0;     ///< of the tower's features
  int64_t output_width = 0;    ///< of the decoder
  image::Grid pooled{12, 12};  ///< LDPv2: the grid its tokens are pooled to
};

/// `average_pool`.
struct AveragePoolConfig {
  int64_t input_width = 0;     ///< of the tower's features
  int64_t output_width = 0;    ///< of the decoder
  image::Grid pooled{12, 12};  ///< the grid patches are averaged to
  int64_t num_layers = 2;      ///< projections, 1 or 2, GELU between
};

/// `patch_merger`.
struct PatchMergerConfig {
  int64_t input_width = 0;   ///< of the tower's features
  int64_t output_width = 0;  ///< of the decoder
  int64_t scale = 2;         ///< r x r patches become one token
  /// Of each patch before it is folded: layer norm in Qwen2-VL, RMS norm in Qwen2.5-VL, none in Idefics3.
  std::optional<nn::NormKind> norm = nn::NormKind::kLayer;
  double layer_norm_eps = 1e-6;
  int64_t num_layers = 2;  ///< projections, 1 or 2
  nn::Activation activation = nn::Activation::kGelu;
  bool bias = true;
};

/// `token_packer`.
struct TokenPackerConfig {
  int64_t input_width = 0;   ///< of the tower's features: `num_levels` levels side by side
  int64_t output_width = 0;  ///< of the decoder
  int64_t num_levels = 4;    ///< published: hidden states 12, 16, 22 and 23 of CLIP-L (`feature_layers`)
  int64_t scale = 2;         ///< r x r patches become one visual token
  int64_t num_heads = 0;     ///< 0: one for every 128 of a level's width, as published
  double layer_norm_eps = 1e-6;
};

/// `patch_mining`.
struct PatchMiningConfig {
  int64_t input_width = 0;  ///< of the tower's features
  int64_t aux_width = 0;    ///< of the second tower's
  int64_t output_width = 0;
  int64_t image_grid = 1;     ///< tiles a side of one picture
  bool image_global = false;  ///< with image_grid > 1: a view of the whole picture behind its tiles
  int64_t mining_scale = 8;   ///< cells of the second map a patch is wide and high
  nn::Activation activation = nn::Activation::kGelu;

  /// Views of one picture that the first tower sees.
  int64_t views() const { return image_grid * image_grid + (image_grid > 1 && image_global ? 1 : 0); }
};

/// `hybrid`.
struct HybridProjectorConfig {
  int64_t input_width = 0;   ///< of the tower's features
  int64_t aux_width = 0;     ///< of the second tower's
  int64_t output_width = 0;  ///< even: each tower gets one half
  int64_t depth = 2;         ///< 1: the two halves side by side; each step more adds activation and a square projection
  bool aux_first = true;     ///< the second tower's half comes first; either way the high resolution is meant to
  nn::Activation activation = nn::Activation::kGelu;
};

/// From patch features to visual tokens of the decoder's width.
struct ConnectorConfig {
  enum class Type {
    kLinear,
    kMlp,
    kNormedMlp,
    kPixelShuffle,
    kConcatNeighbours,
    kQFormer,
    kResampler,
    kWindowResampler,
    kLdp,
    kLdpV2,
    kAveragePool,
    kTokenPacker,
    kPatchMining,
    kHybrid,
    kGlu,
    kPatchMerger,
  } type = Type::kMlp;
  int64_t input_width = 0;   ///< of the tower's features
  int64_t aux_width = 0;     ///< of a second tower's, 0 without
  int64_t output_width = 0;  ///< of the decoder
  int64_t hidden_width = 0;  ///< linear, mlp, pixel_shuffle, glu: of the layer between, 0: output_width
  nn::Activation activation = nn::Activation::kGelu;
  bool bias = true;
  int64_t scale = 2;  ///< pixel shuffle: r x r patches become one token
  double layer_norm_eps = 1e-5;
  bool position_table = false;  ///< glu: learned positions are added to the features (CogAgent)
  int64_t num_patches = 0;      ///< glu: rows of that table

  // Of the type alone that is named at each struct.
  ConcatNeighboursConfig concat;
  QFormerConfig qformer;
  ResamplerConfig resampler;
  WindowResamplerConfig window;
  LdpConfig ldp;
  AveragePoolConfig pool;
  TokenPackerConfig packer;
  PatchMergerConfig merger;
  PatchMiningConfig mining;
  HybridProjectorConfig hybrid;

  /// Reads `type` and that type's keys, each under the name of its field; widths come from the parts on both sides. Throws Error
  /// naming key, value and what would be right.
  static ConnectorConfig from_json(const JsonView& config, int64_t input_width, int64_t output_width, int64_t aux_width = 0);
  Json to_json() const;
  /// Widths into the structs of the types.
  void set_widths(int64_t input, int64_t output, int64_t aux);
};

std::string_view name_of(ConnectorConfig::Type type);

}  // namespace ocelli::connector
