#include "ocelli/connector/mlp_connector.h"

#include <ATen/ATen.h>

namespace ocelli::connector {

MlpConnector::MlpConnector(const ConnectorConfig& config) : activation_(config.activation) {
  const bool single = config.type == ConnectorConfig::Type::kLinear;
  const int64_t hidden = single || config.hidden_width == 0 ? config.output_width : config.hidden_width;
  linear_1_ = register_module("linear_1", std::make_shared<nn::Linear>(config.input_width, hidden, config.bias));
  if (!single) linear_2_ = register_module("linear_2", std::make_shared<nn::Linear>(hidden, config.output_width, config.bias));
  if (config.type != ConnectorConfig::Type::kNormedMlp) return;
  norm_1_ = register_module("norm_1", std::make_shared<nn::LayerNorm>(hidden, config.layer_norm_eps));
  norm_2_ = register_module("norm_2", std::make_shared<nn::LayerNorm>(config.output_width, config.layer_norm_eps));
}

at::Tensor MlpConnector::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  at::Tensor x = linear_1_->forward(features.maps);
  if (!linear_2_) return x;
  if (norm_1_) x = norm_1_->forward(x);
  x = linear_2_->forward(nn::activate(activation_, x));
  return norm_2_ ? norm_2_->forward(x) : x;
}

Cost MlpConnector::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = grid.count() * tiles;
  Cost total = linear_1_->cost(rows, work);
  if (linear_2_) total += linear_2_->cost(rows, work);
  if (norm_1_) total += norm_1_->cost(rows, work) + norm_2_->cost(rows, work);
  return total;
}

}  // namespace ocelli::connector
