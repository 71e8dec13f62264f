#pragma once

#include <memory>
#include <vector>

#include "ocelli/nn/norm.h"
#include "ocelli/vision/conv.h"
#include "ocelli/vision/convnext_config.h"
#include "ocelli/vision/vision_tower.h"

namespace ocelli::vision {

/// ConvNeXt as a high-resolution tower: the maps of all stages, each resized bilinearly to that of the first, side by side.
/// Block: x + gamma * fc2(gelu(fc1(norm(conv7x7 depthwise(x))))). Between stages: norm, then a 2 x 2 convolution of stride 2.
/// Source: Liu et al., arXiv:2201.03545; timm's ConvNeXt; Mini-Gemini, arXiv:2403.18814, section 3.1, and its
/// openclip_encoder.py.
class ConvNextTower final : public VisionTower {
 public:
  explicit ConvNextTower(const ConvNextConfig& config);

  /// pixels: [N, 3, height, width], normalised. Returns maps [N, P, feature_width()] of the first stage's grid.
  nn::VisualFeatures forward(const at::Tensor& pixels, nn::RunContext& context) override;
  /// Throws Error when a side is too short for the last stage.
  image::Grid grid(int64_t height, int64_t width) const override;
  int64_t feature_width() const override { return config_.feature_width(); }
  Cost cost(const Workload& work) const override;

 private:
  class Block;
  /// The stem is the first stage's entry.
  struct Stage {
    std::shared_ptr<nn::LayerNorm> norm;  ///< behind the stem's convolution, before the others'
    std::shared_ptr<Conv> conv;
    std::vector<std::shared_ptr<Block>> blocks;
  };
  ConvNextConfig config_;
  std::vector<Stage> stages_;
};

}  // namespace ocelli::vision
