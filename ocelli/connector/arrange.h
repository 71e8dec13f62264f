#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "ocelli/image/tiling.h"
#include "ocelli/nn/module.h"

namespace ocelli::connector {

/// What goes into the decoder's picture positions, all pictures in order.
struct VisualTokens {
  at::Tensor tokens;                 ///< [Q, D]
  std::vector<int64_t> per_picture;  ///< adds up to Q
};

/// How the views of one picture are joined.
struct ArrangeConfig {
  enum class Kind {
    kConcat,  ///< views in their order, one behind the other
    /// AnyRes: the overview, then the tiles as one map with the padding taken off and `image_newline` behind each of its rows; a
    /// picture of one view is that view and one newline. Source: LLaVA-1.6; transformers' LlavaNextModel.pack_image_features.
    kUnpadNewline,
  } kind = Kind::kConcat;
  int64_t width = 0;  ///< of a token, for the newline
  image::Unpad unpad = image::Unpad::kTruncate;
  int64_t max_tiles = 0;  ///< > 0: LLaVA-OneVision's `anyres_max_N`: larger maps are shrunk (bilinear)
};

/// Joins the tokens of views to those of pictures.
class Arrange final : public nn::Module {
 public:
  explicit Arrange(const ArrangeConfig& config);

  /// views: for each view, in order, its tokens [Q, D]; `grids` theirs as rows x columns (asked for by kUnpadNewline, where tiles
  /// are square maps). Throws Error when the tilings do not add up to the views.
  VisualTokens forward(std::span<const at::Tensor> views, std::span<const image::Grid> grids,
                       std::span<const image::Tiling> pictures) const;

  /// Visual tokens of one picture, `tokens_of_view[i]` being the connector's for view i and `grid` those of one tile.
  int64_t num_tokens(const image::Tiling& tiling, std::span<const int64_t> tokens_of_view, image::Grid grid) const;
  /// The rows and columns of the tiles' map that are kept, before a newline column.
  image::Grid kept(const image::Tiling& tiling, image::Grid tile) const;

 private:
  ArrangeConfig config_;
  at::Tensor image_newline_;  ///< [D], undefined without
};

}  // namespace ocelli::connector
