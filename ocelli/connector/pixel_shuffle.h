#pragma once

#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// Folds each r x r block of patches into one visual token (space to depth), then layer norm and two projections.
/// Source: InternVL 1.5, arXiv:2404.16821, section 3.1; channel order (row in block, column in block, channel) as in its second
/// version. Differs from torch::pixel_shuffle, which goes the other way.
class PixelShuffle final : public Connector {
 public:
  explicit PixelShuffle(const ConnectorConfig& config);

  /// Throws Error when the grid's rows or columns are no multiple of r.
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid grid) const override;
  image::Grid token_grid(image::Grid grid) const override { return {grid.rows / scale_, grid.columns / scale_}; }
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  int64_t scale_;
  int64_t input_width_;
  nn::Activation activation_;
  std::shared_ptr<nn::LayerNorm> layer_norm_;
  std::shared_ptr<nn::Linear> linear_1_, linear_2_;
};

}  // namespace ocelli::connector
