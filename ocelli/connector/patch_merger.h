#pragma once

#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// A norm of each patch, then r x r patches folded into one token (row in block, column in block, channel), then two projections
/// with an activation between, the first square: Qwen2-VL, Qwen2.5-VL. Without norm and with one projection: Idefics3 and
/// SmolVLM, who call it pixel shuffle. Source: transformers' Qwen2_5_VLPatchMerger and Idefics3Connector. Differs from
/// PixelShuffle, which norms what is folded.
class PatchMerger final : public Connector {
 public:
  explicit PatchMerger(const PatchMergerConfig& config);

  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  /// Throws Error when the grid's rows or columns are no multiple of r.
  int64_t num_tokens(image::Grid grid) const override;
  image::Grid token_grid(image::Grid grid) const override { return {grid.rows / config_.scale, grid.columns / config_.scale}; }
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  PatchMergerConfig config_;
  std::shared_ptr<nn::Norm> norm_;                   ///< null without
  std::shared_ptr<nn::Linear> linear_1_, linear_2_;  ///< the second is null for one projection
};

}  // namespace ocelli::connector
