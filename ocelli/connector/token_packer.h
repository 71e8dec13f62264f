#pragma once

#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// Coarse to fine: each visual token starts as the last level's patches downsampled by r (bilinear), and is rewritten by
/// attention to the r x r patches of its own region at all levels; then linear_2(gelu(linear_1(x))).
///
///   q = ln_q(q_proj(downsample(last level)))                      one row a region
///   k = ln_k(key_2(gelu(key_1(all levels)))), v alike             r * r rows a region
///   tokens = mlp(attention(q, k, v))
///
/// Source: TokenPacker, arXiv:2407.02392, section 3.2, and its multimodal_projector/builder.py.
class TokenPacker final : public Connector {
 public:
  explicit TokenPacker(const TokenPackerConfig& config);

  /// Throws Error when the grid's rows or columns are no multiple of r.
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid grid) const override;
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  TokenPackerConfig config_;
  int64_t width_, heads_;  ///< of one level
  std::shared_ptr<nn::Linear> q_proj_, key_1_, key_2_, value_1_, value_2_;
  std::shared_ptr<nn::LayerNorm> ln_q_, ln_k_, ln_v_;
  std::shared_ptr<nn::Linear> attn_q_, attn_k_, attn_v_, attn_out_;
  std::shared_ptr<nn::Linear> linear_1_, linear_2_;
};

}  // namespace ocelli::connector
