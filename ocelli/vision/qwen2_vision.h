#pragma once

#include <memory>
#include <vector>

#include "ocelli/vision/qwen2_vision_config.h"
#include "ocelli/vision/vision_tower.h"

namespace ocelli::vision {

/// The tower of Qwen2-VL and Qwen2.5-VL: pictures at their own size and aspect, patches without a table of positions but with
/// queries and keys rotated, half of a head by the patch's row and half by its column. Source: Wang et al., arXiv:2409.12191;
/// Bai et al., arXiv:2502.13923; transformers' Qwen2VisionTransformerPretrainedModel and
/// Qwen2_5_VisionTransformerPretrainedModel, without their merger, which is connector::PatchMerger.
/// The reference orders patches by merged token; here they are in raster order, and in windowed towers ordered by window on the
/// way: attention does not see the order.
class Qwen2Vision final : public VisionTower {
 public:
  explicit Qwen2Vision(const Qwen2VisionConfig& config);

  /// Throws Error when a side is no multiple of patch_size * spatial_merge_size.
  nn::VisualFeatures forward(const at::Tensor& pixels, nn::RunContext& context) override;
  image::Grid grid(int64_t height, int64_t width) const override;
  int64_t feature_width() const override { return config_.hidden_size; }
  Cost cost(const Workload& work) const override;

  /// Patches of a grid by window: their raster indices, window after window, and the patches of each window. Windows at the right
  /// and lower edge are what is left.
  struct Windows {
    std::vector<int64_t> order, sizes;
  };
  static Windows windows(image::Grid grid, int64_t window);

 private:
  class Block;
  struct Patches;
  Qwen2VisionConfig config_;
  std::shared_ptr<Patches> patches_;
  std::vector<std::shared_ptr<Block>> blocks_;
};

}  // namespace ocelli::vision
