#pragma once

#include <ATen/core/Tensor.h>

#include "ocelli/image/image.h"

namespace ocelli::nn {

/// What a vision tower hands to a connector.
struct VisualFeatures {
  at::Tensor maps;   ///< [N, P, D]: N tiles, P patches in raster order, without a class token
  image::Grid grid;  ///< rows x columns of patches, P in all
};

}  // namespace ocelli::nn
