#pragma once

#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/mlp.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// down(silu(gate(x)) * up(x)) of x = gelu(norm1(linear_proj(features))), no biases, between two learned tokens `boi` and `eoi`:
/// a grid of P patches becomes P + 2 visual tokens. Source: CogVLM, arXiv:2311.03079, and GLU of its visual.py; CogAgent adds a
/// learned position table to the features first.
class Glu final : public Connector {
 public:
  /// config.hidden_width: of the gated layer.
  explicit Glu(const ConnectorConfig& config);

  /// Throws Error when a position table has another number of rows than there are patches; num_tokens() too.
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid grid) const override;
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  void require_positions(int64_t patches) const;

  int64_t output_width_;
  std::shared_ptr<nn::Linear> linear_proj_;
  std::shared_ptr<nn::LayerNorm> norm1_;
  std::shared_ptr<nn::GatedMlp> mlp_;
  at::Tensor boi_, eoi_;       ///< [1, D]
  int64_t num_positions_ = 0;  ///< P; 0: no table
  at::Tensor pos_embed_;       ///< [P, D_vision], undefined without
};

}  // namespace ocelli::connector
