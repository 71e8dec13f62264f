#pragma once

#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"

namespace ocelli::connector {

/// Lays `neighbours` patches that follow each other in raster order (1 x n, no block) side by side, then one projection.
/// Source: MiniGPT-v2, arXiv:2310.09478, section 2.1: four patches of a row become one visual token.
class ConcatNeighbours final : public Connector {
 public:
  ConcatNeighbours(int64_t neighbours, int64_t input_width, int64_t output_width, bool bias = true);

  /// Throws Error when the number of patches is no multiple of `neighbours`.
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid grid) const override;
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  int64_t neighbours_, input_width_;
  std::shared_ptr<nn::Linear> linear_1_;
};

}  // namespace ocelli::connector
