#include "ocelli/connector/token_resampler.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"

namespace ocelli::connector {

TokenResampler::TokenResampler(const TokenResamplerConfig& config) : config_(config) {
  require(config.width > 0 && config.inner_width > 0 && config.num_tokens > 0 && config.num_heads > 0 && config.head_dim > 0,
          "token resampler: width {}, inner width {}, {} tokens, {} heads of {}: all must be positive", config.width,
          config.inner_width, config.num_tokens, config.num_heads, config.head_dim);
  constexpr double kEps = 1e-5;
  const int64_t inner = config.inner_width, attention = config.num_heads * config.head_dim;
  downsample_ = register_module("downsample", std::make_shared<nn::Linear>(config.width, inner, false));
  norm_media_ = register_module("norm_media", std::make_shared<nn::LayerNorm>(inner, kEps));
  norm_latents_ = register_module("norm_latents", std::make_shared<nn::LayerNorm>(inner, kEps));
  to_q_ = register_module("to_q", std::make_shared<nn::Linear>(inner, attention, false));
  to_k_ = register_module("to_k", std::make_shared<nn::Linear>(inner, attention, false));
  to_v_ = register_module("to_v", std::make_shared<nn::Linear>(inner, attention, false));
  to_out_ = register_module("to_out", std::make_shared<nn::Linear>(attention, inner, false));
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(inner, kEps));
  fc1_ = register_module("fc1", std::make_shared<nn::Linear>(inner, inner, false));
  // At zero: a fresh resampler only selects.
  fc2_ = register_module("fc2", std::make_shared<nn::Linear>(inner, config.width, false, nn::Init::zeros()));
  scale_ = declare("scale", {1}, nn::Init::ones());
}

at::Tensor TokenResampler::similarity(const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  at::Tensor unit = tokens.scalar_type() == at::kDouble ? tokens : tokens.to(at::kFloat);
  // The bound keeps a row of zeros from becoming not-a-number; any other row's norm is above it.
  unit = unit / unit.norm(2, {-1}, true).clamp_min(1e-30);
  const at::Tensor cosines = at::matmul(unit, unit.transpose(-1, -2));
  // A token's cosine to itself and to earlier ones falls to -1 and below: no later token's cosine is less.
  const int64_t count = tokens.size(1);
  const at::Tensor earlier = at::ones({count, count}, cosines.options()).tril() * 2;
  return (cosines - earlier).amax({-1});
}

at::Tensor TokenResampler::select(const at::Tensor& similarity, int64_t count) {
  const at::Tensor order = similarity.argsort(/*stable=*/true, /*dim=*/-1, /*descending=*/true);
  return std::get<0>(order.slice(1, order.size(1) - count).sort(-1));
}

at::Tensor TokenResampler::forward(const at::Tensor& tokens) const {
  const int64_t tiles = tokens.size(0), all = tokens.size(1), count = num_tokens(all);
  const at::Tensor kept_rows = select(similarity(tokens), count);
  const at::Tensor kept = tokens.gather(1, kept_rows.unsqueeze(-1).expand({tiles, count, config_.width}));

  // The kept rows of the downsampled tokens are the downsampled kept tokens.
  const at::Tensor media = downsample_->forward(tokens);
  const at::Tensor latents =
      norm_latents_->forward(media.gather(1, kept_rows.unsqueeze(-1).expand({tiles, count, config_.inner_width})));
  const at::Tensor seen = at::cat({norm_media_->forward(media), latents}, 1);
  const auto heads = [&](const at::Tensor& rows) { return rows.reshape({-1, config_.num_heads, config_.head_dim}); };
  nn::AttentionLayout layout;
  for (int64_t n = 0; n < tiles; ++n) layout.add({n * count, (n + 1) * count, n * (all + count), (n + 1) * (all + count)});
  const at::Tensor mixed = nn::attention(heads(to_q_->forward(latents)), heads(to_k_->forward(seen)), heads(to_v_->forward(seen)),
                                         layout, 1.0 / std::sqrt(static_cast<double>(config_.head_dim)));
  const at::Tensor hidden = norm_->forward(to_out_->forward(mixed.reshape({tiles, count, -1})));
  return kept + scale_ * fc2_->forward(at::gelu(fc1_->forward(hidden)));
}

Cost TokenResampler::cost(int64_t tokens, int64_t tiles, const Workload& work) const {
  const int64_t count = num_tokens(tokens), seen = tokens + count;
  Cost total = downsample_->cost(tiles * tokens, work) + norm_media_->cost(tiles * tokens, work) +
               norm_latents_->cost(tiles * count, work) + to_q_->cost(tiles * count, work) + to_k_->cost(tiles * seen, work) +
               to_v_->cost(tiles * seen, work) +
               nn::attention_cost(tiles * count * seen, tiles * count, config_.num_heads, config_.head_dim, work) +
               to_out_->cost(tiles * count, work) + norm_->cost(tiles * count, work) + fc1_->cost(tiles * count, work) +
               fc2_->cost(tiles * count, work);
  total.parameters += 1;
  total.flops += 2.0 * static_cast<double>(tiles * tokens) * static_cast<double>(tokens) * static_cast<double>(config_.width);
  return total;
}

}  // namespace ocelli::connector
