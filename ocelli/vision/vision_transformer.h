#pragma once

#include <memory>
#include <vector>

#include "ocelli/nn/linear.h"
#include "ocelli/nn/mlp.h"
#include "ocelli/nn/norm.h"
#include "ocelli/vision/conv_stem.h"
#include "ocelli/vision/vision_tower.h"

namespace ocelli::vision {

/// A vision transformer: patches by one strided convolution or a convolutional stem, learned positions, bidirectional attention
/// within each tile; its variants are fields of VisionConfig. Source: Dosovitskiy et al., arXiv:2010.11929; weights are named as
/// in transformers' CLIPVisionModel and SiglipVisionModel.
class VisionTransformer final : public VisionTower {
 public:
  explicit VisionTransformer(const VisionConfig& config);

  nn::VisualFeatures forward(const at::Tensor& pixels, nn::RunContext& context) override;
  image::Grid grid(int64_t height, int64_t width) const override;
  int64_t feature_width() const override { return config_.feature_width(); }
  Cost cost(const Workload& work) const override;

  /// The rows that go into the first block: [N, P', D].
  at::Tensor embed(const at::Tensor& pixels, nn::RunContext& context) const;
  /// Blocks [first, last) over rows [tiles * P', D]. Only for towers whose blocks don't rotate.
  at::Tensor run_blocks(const at::Tensor& rows, int64_t tiles, int64_t first, int64_t last, nn::RunContext& context) const;

 private:
  class Block;
  class Embeddings;
  VisionConfig config_;
  std::shared_ptr<ConvStem> stem_;
  std::shared_ptr<Embeddings> embeddings_;
  std::shared_ptr<nn::Norm> pre_layernorm_;
  std::vector<std::shared_ptr<Block>> blocks_;
  std::shared_ptr<nn::Norm> post_layernorm_;
  at::Tensor feature_positions_;  ///< [P, feature_width()], undefined without
};

}  // namespace ocelli::vision
