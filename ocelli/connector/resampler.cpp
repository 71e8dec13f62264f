#include "ocelli/connector/resampler.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"
#include "ocelli/nn/position_table.h"

namespace ocelli::connector {

void ResamplerConfig::validate() const {
  require(output_width > 0 && output_width % 4 == 0, "resampler: output width {} is no multiple of 4", output_width);
  nn::square_grid(num_queries, "resampler.num_queries");
  require(num_heads > 0 || output_width >= 128, "resampler: num_heads is 0, and width {} has no 128 for a head", output_width);
  const int64_t heads = num_heads > 0 ? num_heads : output_width / 128;
  require(output_width % heads == 0, "resampler: width {} is no multiple of {} heads", output_width, heads);
}

/// torch.nn.MultiheadAttention's parameters, its packed projection in three.
class Resampler::Attention final : public nn::Module {
 public:
  Attention(int64_t width, int64_t heads) : width_(width), heads_(heads), head_width_(width / heads) {
    q_proj_ = register_module("q_proj", std::make_shared<nn::Linear>(width, width, true));
    k_proj_ = register_module("k_proj", std::make_shared<nn::Linear>(width, width, true));
    v_proj_ = register_module("v_proj", std::make_shared<nn::Linear>(width, width, true));
    out_proj_ = register_module("out_proj", std::make_shared<nn::Linear>(width, width, true));
  }

  /// queries: [Q, D], the same for all N tiles; keys, values: [N, P, D]. Returns [N, Q, D].
  at::Tensor forward(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) const {
    const int64_t tiles = keys.size(0), patches = keys.size(1), count = queries.size(0);
    const auto heads = [&](const at::Tensor& rows) { return rows.reshape({-1, heads_, head_width_}); };
    const at::Tensor q = q_proj_->forward(queries).unsqueeze(0).expand({tiles, count, width_});
    nn::AttentionLayout layout;
    for (int64_t n = 0; n < tiles; ++n) layout.add({n * count, (n + 1) * count, n * patches, (n + 1) * patches});
    const at::Tensor mixed = nn::attention(heads(q), heads(k_proj_->forward(keys)), heads(v_proj_->forward(values)), layout,
                                           1.0 / std::sqrt(static_cast<double>(head_width_)));
    return out_proj_->forward(mixed.reshape({tiles, count, width_}));
  }

  Cost cost(int64_t queries, int64_t patches, int64_t tiles, const Workload& work) const {
    return q_proj_->cost(queries, work) + k_proj_->cost(tiles * patches, work) + v_proj_->cost(tiles * patches, work) +
           nn::attention_cost(tiles * queries * patches, tiles * queries, heads_, head_width_, work) +
           out_proj_->cost(tiles * queries, work);
  }

 private:
  int64_t width_, heads_, head_width_;
  std::shared_ptr<nn::Linear> q_proj_, k_proj_, v_proj_, out_proj_;
};

Resampler::Resampler(const ResamplerConfig& config) : config_(config) {
  config.validate();
  const int64_t width = config.output_width;
  query_ = declare("query", {config.num_queries, width}, nn::Init::normal(0.02));
  pos_embed_ = declare_buffer("pos_embed", {config.num_queries, width}, nn::Init::sin_cos());
  if (config.input_width != width) {
    kv_proj_ = register_module("kv_proj", std::make_shared<nn::Linear>(config.input_width, width, false, nn::Init::normal(0.02)));
  }
  ln_q_ = register_module("ln_q", std::make_shared<nn::LayerNorm>(width, config.layer_norm_eps));
  ln_kv_ = register_module("ln_kv", std::make_shared<nn::LayerNorm>(width, config.layer_norm_eps));
  attn_ = register_module("attn", std::make_shared<Attention>(width, config.num_heads > 0 ? config.num_heads : width / 128));
  if (config.post_projection) {
    ln_post_ = register_module("ln_post", std::make_shared<nn::LayerNorm>(width, config.layer_norm_eps));
    proj_ = register_module(
        "proj", std::make_shared<nn::Linear>(width, width, false, nn::Init::normal(1 / std::sqrt(static_cast<double>(width)))));
  }
}

at::Tensor Resampler::key_positions(image::Grid grid) const {
  const image::Grid own = nn::square_grid(config_.num_queries, "resampler");
  if (config_.adaptive_positions) return nn::sin_cos_table(grid, config_.output_width).to(pos_embed_.options());
  return nn::resize_position_table(pos_embed_, own, grid, false);
}

at::Tensor Resampler::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  require(
      features.maps.dim() == 3 && features.maps.size(1) == features.grid.count() && features.maps.size(2) == config_.input_width,
      "resampler: features of shape {} for a grid of {} x {} and width {}", c10::str(features.maps.sizes()), features.grid.rows,
      features.grid.columns, config_.input_width);
  const at::Tensor values = ln_kv_->forward(kv_proj_ ? kv_proj_->forward(features.maps) : features.maps);
  // Positions are kept in fp32.
  const auto placed = [](const at::Tensor& rows, const at::Tensor& positions) { return rows + positions.to(rows.scalar_type()); };
  const at::Tensor mixed =
      attn_->forward(placed(ln_q_->forward(query_), pos_embed_), placed(values, key_positions(features.grid)), values);
  return proj_ ? proj_->forward(ln_post_->forward(mixed)) : mixed;
}

int64_t Resampler::num_tokens(image::Grid) const {
  return config_.num_queries;
}

Cost Resampler::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t queries = config_.num_queries, keys = grid.count() * tiles;
  Cost total = ln_q_->cost(queries, work) + ln_kv_->cost(keys, work) + attn_->cost(queries, grid.count(), tiles, work);
  total.parameters += queries * config_.output_width;
  if (kv_proj_) total += kv_proj_->cost(keys, work);
  if (proj_) total += ln_post_->cost(queries * tiles, work) + proj_->cost(queries * tiles, work);
  return total;
}

}  // namespace ocelli::connector
