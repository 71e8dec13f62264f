#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "ocelli/model/image_processor.h"

namespace ocelli::model {

/// Normalised pixels of all views of all pictures, in order.
struct Pixels {
  std::vector<at::Tensor> batches;  ///< neighbouring views of one size together: [N, 3, height, width]
  at::Tensor aux;                   ///< [pictures, 3, height, width] for a second tower; undefined without

  bool empty() const { return batches.empty() && !aux.defined(); }
  int64_t count() const;  ///< of views
  Pixels to(at::ScalarType dtype) const;
};

/// The pictures' views as tensors. Throws Error when the second tower's pictures differ in size.
Pixels stack_pixels(std::span<const PixelTiles* const> pictures);

}  // namespace ocelli::model
