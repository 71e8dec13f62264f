#pragma once

#include <memory>
#include <vector>

#include "ocelli/vision/sam_config.h"
#include "ocelli/vision/vision_tower.h"

namespace ocelli::vision {

/// SAM's image encoder: a vision transformer whose blocks attend within windows, a few over the whole picture, with decomposed
/// relative positions; a neck of a 1 x 1 and a 3 x 3 convolution, each with layer norm over channels. Source: Kirillov et al.,
/// arXiv:2304.02643, appendix A; transformers' SamVisionModel. Cells that pad the map to whole windows hold zeros before q/k/v
/// and stay visible as keys, as there. DeepSeek-VL, arXiv:2403.05525, section 3.1: the downsampled form.
class SamTower final : public VisionTower {
 public:
  explicit SamTower(const SamConfig& config);

  /// pixels: [N, 3, image_size, image_size], normalised. Returns maps [N, P, feature_width()].
  nn::VisualFeatures forward(const at::Tensor& pixels, nn::RunContext& context) override;
  image::Grid grid(int64_t height, int64_t width) const override;
  int64_t feature_width() const override { return config_.feature_width(); }
  Cost cost(const Workload& work) const override;

 private:
  class PatchEmbed;
  class Block;
  class Neck;
  class Downsample;
  int64_t side() const { return config_.image_size / config_.patch_size; }
  SamConfig config_;
  std::shared_ptr<PatchEmbed> patch_embed_;
  at::Tensor pos_embed_;  ///< [1, side, side, D], undefined without
  std::vector<std::shared_ptr<Block>> blocks_;
  std::shared_ptr<Neck> neck_, neck_hd_;
  std::shared_ptr<Downsample> downsample_;
  at::Tensor alpha_;  ///< [1], undefined without global_neck
};

}  // namespace ocelli::vision
