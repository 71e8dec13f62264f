#include "ocelli/connector/token_packer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"

namespace ocelli::connector {

TokenPacker::TokenPacker(const TokenPackerConfig& config) : config_(config) {
  require(config.num_levels > 0 && config.input_width % config.num_levels == 0,
          "token_packer: width {} is no multiple of {} levels", config.input_width, config.num_levels);
  require(config.scale > 0, "token_packer: scale is {}, expected at least 1", config.scale);
  width_ = config.input_width / config.num_levels;
  heads_ = config.num_heads > 0 ? config.num_heads : width_ / 128;
  require(heads_ > 0 && width_ % heads_ == 0, "token_packer: a level's width {} is no multiple of {} heads", width_, heads_);
  const auto linear = [&](const char* name, int64_t in, int64_t out, bool bias) {
    return register_module(name, std::make_shared<nn::Linear>(in, out, bias, nn::Init::normal(0.02)));
  };
  const auto norm = [&](const char* name) {
    return register_module(name, std::make_shared<nn::LayerNorm>(width_, config.layer_norm_eps));
  };
  q_proj_ = linear("q_proj", width_, width_, false);
  key_1_ = linear("key_1", config.input_width, width_, true);
  key_2_ = linear("key_2", width_, width_, true);
  value_1_ = linear("value_1", config.input_width, width_, true);
  value_2_ = linear("value_2", width_, width_, true);
  ln_q_ = norm("ln_q");
  ln_k_ = norm("ln_k");
  ln_v_ = norm("ln_v");
  attn_q_ = linear("attn_q", width_, width_, true);
  attn_k_ = linear("attn_k", width_, width_, true);
  attn_v_ = linear("attn_v", width_, width_, true);
  attn_out_ = linear("attn_out", width_, width_, true);
  linear_1_ = linear("linear_1", width_, config.output_width, true);
  linear_2_ = linear("linear_2", config.output_width, config.output_width, true);
}

at::Tensor TokenPacker::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  const int64_t rows = features.grid.rows, columns = features.grid.columns;
  const int64_t tokens = num_tokens(features.grid), tiles = features.maps.size(0), r = config_.scale;
  require(features.maps.size(1) == rows * columns && features.maps.size(2) == config_.input_width,
          "token_packer: features of shape {} for a grid of {} x {} and {} levels of width {}", c10::str(features.maps.sizes()),
          rows, columns, config_.num_levels, width_);

  const at::Tensor last = features.maps.slice(2, config_.input_width - width_);
  const at::ScalarType wide = last.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor coarse = at::upsample_bilinear2d(
      last.to(wide).reshape({tiles, rows, columns, width_}).permute({0, 3, 1, 2}).contiguous(), {rows / r, columns / r}, false);
  const at::Tensor start = coarse.permute({0, 2, 3, 1}).reshape({tiles * tokens, width_}).to(last.scalar_type());
  const at::Tensor query = attn_q_->forward(ln_q_->forward(q_proj_->forward(start)));

  // Rows of a region together: [N, rows / r, columns / r, r, r, D].
  const auto regions = [&](const at::Tensor& x) {
    return x.reshape({tiles, rows / r, r, columns / r, r, width_})
        .permute({0, 1, 3, 2, 4, 5})
        .reshape({tiles * tokens, r * r, heads_, width_ / heads_});
  };
  const at::Tensor key = regions(attn_k_->forward(ln_k_->forward(key_2_->forward(at::gelu(key_1_->forward(features.maps))))));
  const at::Tensor value =
      regions(attn_v_->forward(ln_v_->forward(value_2_->forward(at::gelu(value_1_->forward(features.maps))))));

  // One query a region and few keys: sums of products, no matrix product pays.
  const at::Tensor scaled =
      query.view({tiles * tokens, 1, heads_, width_ / heads_}) / std::sqrt(static_cast<double>(width_ / heads_));
  const at::Tensor weights = at::softmax((scaled * key).sum(-1, true), 1);
  const at::Tensor mixed = attn_out_->forward((weights * value).sum(1).reshape({tiles, tokens, width_}));
  return linear_2_->forward(at::gelu(linear_1_->forward(mixed)));
}

int64_t TokenPacker::num_tokens(image::Grid grid) const {
  require(grid.rows % config_.scale == 0 && grid.columns % config_.scale == 0, "token_packer: grid {} x {} is no multiple of {}",
          grid.rows, grid.columns, config_.scale);
  return grid.count() / (config_.scale * config_.scale);
}

Cost TokenPacker::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t keys = grid.count() * tiles, queries = num_tokens(grid) * tiles;
  Cost total;
  for (const auto& part : {key_1_, key_2_, attn_k_, value_1_, value_2_, attn_v_}) total += part->cost(keys, work);
  for (const auto& part : {q_proj_, attn_q_, attn_out_, linear_1_, linear_2_}) total += part->cost(queries, work);
  return total + ln_k_->cost(keys, work) + ln_v_->cost(keys, work) + ln_q_->cost(queries, work) +
         nn::attention_cost(keys, queries, heads_, width_ / heads_, work);
}

}  // namespace ocelli::connector
