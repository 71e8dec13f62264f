#include "ocelli/connector/glu.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"

namespace ocelli::connector {

Glu::Glu(const ConnectorConfig& config) : output_width_(config.output_width) {
  if (config.position_table) {
    require(config.num_patches > 0, "glu: num_patches is {}, expected the patches of a picture", config.num_patches);
    num_positions_ = config.num_patches;
  }
  const int64_t width = config.output_width, hidden = config.hidden_width == 0 ? width : config.hidden_width;
  const auto within = [](int64_t in) { return nn::Init::uniform(1.0 / std::sqrt(static_cast<double>(in))); };
  linear_proj_ = register_module("linear_proj", std::make_shared<nn::Linear>(config.input_width, width, false));
  norm1_ = register_module("norm1", std::make_shared<nn::LayerNorm>(width, config.layer_norm_eps));
  mlp_ = register_module(
      "mlp", std::make_shared<nn::GatedMlp>(width, hidden, nn::Activation::kSilu, false, within(width), within(hidden)));
  boi_ = declare("boi", {1, width}, nn::Init::normal(0.02));
  eoi_ = declare("eoi", {1, width}, nn::Init::normal(0.02));
  if (config.position_table) pos_embed_ = declare("pos_embed", {config.num_patches, config.input_width}, nn::Init::zeros());
}

at::Tensor Glu::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  at::Tensor x = features.maps;
  if (num_positions_ > 0) {
    require_positions(x.size(1));
    x = x + pos_embed_;
  }
  x = mlp_->forward(nn::activate(nn::Activation::kGelu, norm1_->forward(linear_proj_->forward(x))));
  const auto alike = [&](const at::Tensor& token) {
    return token.to(x.scalar_type()).unsqueeze(0).expand({x.size(0), 1, output_width_});
  };
  return at::cat({alike(boi_), x, alike(eoi_)}, 1);
}

int64_t Glu::num_tokens(image::Grid grid) const {
  require_positions(grid.count());
  return grid.count() + 2;
}

void Glu::require_positions(int64_t patches) const {
  require(num_positions_ == 0 || patches == num_positions_, "glu: {} patches for a table of {} positions", patches,
          num_positions_);
}

Cost Glu::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = grid.count() * tiles;
  Cost total = linear_proj_->cost(rows, work) + norm1_->cost(rows, work) + mlp_->cost(rows, work);
  for (const nn::Parameter& parameter : declared()) total.parameters += parameter.shape[0] * parameter.shape[1];
  return total;
}

}  // namespace ocelli::connector
