#pragma once

#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// One layer of cross-attention from learned queries to the patches: always `num_queries` visual tokens a tile.
///
///   x = ln_kv(kv_proj(maps))                                       [N, P, D]
///   y = attention(ln_q(query) + p_q, x + p_k, x)                   [N, Q, D]
///   tokens = proj(ln_post(y))
///
/// The positions p_q are stored with the model (`pos_embed`, a buffer: never trained), those of the keys follow from the grid.
/// `kv_proj` (no bias) is there when the widths differ. No residual and no feed-forward layer. Published files hold `proj` as
/// [in, out], multiplied from the right; here it is a Linear like any other. Source: Qwen-VL, arXiv:2308.12966, and its
/// visual.py; MiniCPM-V's resampler.py.
class Resampler final : public Connector {
 public:
  explicit Resampler(const ResamplerConfig& config);

  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid grid) const override;
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

  /// p_k of a grid: [P, D].
  at::Tensor key_positions(image::Grid grid) const;

 private:
  class Attention;
  ResamplerConfig config_;
  at::Tensor query_;      ///< [Q, D]
  at::Tensor pos_embed_;  ///< [Q, D]
  std::shared_ptr<nn::Linear> kv_proj_;
  std::shared_ptr<nn::LayerNorm> ln_q_, ln_kv_, ln_post_;
  std::shared_ptr<Attention> attn_;
  std::shared_ptr<nn::Linear> proj_;
};

}  // namespace ocelli::connector
