#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "ocelli/image/tiling.h"

namespace ocelli::connector {

/// What goes into the decoder's picture positions, all pictures in order.
struct VisualTokens {
  at::Tensor tokens;                 ///< [Q, D]
  std::vector<int64_t> per_picture;  ///< adds up to Q
};

/// Joins the tokens of tiles [N, Q, D] to those of pictures: tiles in their order, one behind the other.
/// Throws Error when the tilings do not add up to N tiles.
VisualTokens arrange_tiles(const at::Tensor& tile_tokens, std::span<const image::Tiling> pictures);

}  // namespace ocelli::connector
