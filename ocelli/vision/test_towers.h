#pragma once

#include <vector>

#include "ocelli/nn/test_tensors.h"
#include "ocelli/vision/vision_tower.h"

namespace ocelli::test {

/// Gradients of every parameter after the sum of the squared features.
inline std::vector<at::Tensor> tower_gradients(vision::VisionTower& tower, const at::Tensor& pixels, bool checkpointing) {
  clear_gradients(tower);
  nn::RunContext context;
  context.gradient_checkpointing = checkpointing;
  tower.forward(pixels, context).maps.square().sum().backward();
  return gradients_of(tower);
}

}  // namespace ocelli::test
