#pragma once

#include <algorithm>
#include <memory>

#include "ocelli/base/cost.h"
#include "ocelli/connector/connector_config.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// TextMonkey's token resampler: keeps the tokens that resemble no later one, then lets each of them look at all.
///
///   kept   = tokens[select(tokens)]                                [N, R, D]
///   x      = downsample([tokens; kept])                            [N, Q + R, D']
///   kept  += scale * fc2(gelu(fc1(norm(to_out(attention(norm(kept'), [norm(tokens'); norm(kept')]))))))
///
/// where a dash marks the downsampled rows. The sum is added at full width. Layer norms have eps 1e-5; only they have biases.
/// Source: TextMonkey, arXiv:2403.04473, section 3.3; Monkey's text_monkey/{merge,resampler}.py.
class TokenResampler final : public nn::Module {
 public:
  explicit TokenResampler(const TokenResamplerConfig& config);

  /// tokens: [N, Q, D]. Returns [N, min(R, Q), D].
  at::Tensor forward(const at::Tensor& tokens) const;

  /// Of `tokens` tokens, how many stay.
  int64_t num_tokens(int64_t tokens) const { return std::min(config_.num_tokens, tokens); }

  /// `tiles` sequences of `tokens` tokens.
  Cost cost(int64_t tokens, int64_t tiles, const Workload& work) const;

  /// Each token's largest cosine to a later token; -1 where it has none. tokens: [N, Q, D]. Returns [N, Q] in fp32 (fp64 for fp64
  /// tokens).
  static at::Tensor similarity(const at::Tensor& tokens);
  /// The `count` tokens of the smallest similarity [N, Q], rising: [N, count] int64. Of equals the later ones.
  static at::Tensor select(const at::Tensor& similarity, int64_t count);

 private:
  TokenResamplerConfig config_;
  std::shared_ptr<nn::Linear> downsample_;
  std::shared_ptr<nn::LayerNorm> norm_media_, norm_latents_;
  std::shared_ptr<nn::Linear> to_q_, to_k_, to_v_, to_out_;
  std::shared_ptr<nn::LayerNorm> norm_;
  std::shared_ptr<nn::Linear> fc1_, fc2_;
  at::Tensor scale_;  ///< [1]
};

}  // namespace ocelli::connector
