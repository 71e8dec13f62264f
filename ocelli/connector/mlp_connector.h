#pragma once

#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// One projection (LLaVA 1.0), or linear_2(activation(linear_1(x))) (`mlp2x_gelu`): every patch becomes a visual token.
/// Source: LLaVA 1.5, arXiv:2310.03744; transformers' LlavaMultiModalProjector. `normed_mlp` has a layer norm behind each
/// projection
/// (`mlp2x_gelu_Norm` of Yi-VL).
class MlpConnector final : public Connector {
 public:
  explicit MlpConnector(const ConnectorConfig& config);
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid grid) const override { return grid.count(); }
  image::Grid token_grid(image::Grid grid) const override { return grid; }
  bool keeps_rows() const override { return true; }
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  nn::Activation activation_;
  std::shared_ptr<nn::Linear> linear_1_, linear_2_;  ///< the second is null for one projection
  std::shared_ptr<nn::LayerNorm> norm_1_, norm_2_;   ///< null without
};

}  // namespace ocelli::connector
