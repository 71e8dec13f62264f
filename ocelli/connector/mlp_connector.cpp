#include "ocelli/connector/mlp_connector.h"

#include <ATen/ATen.h>

namespace ocelli::connector {

MlpConnector::MlpConnector(const ConnectorConfig& config) : activation_(config.activation) {
  const bool single = config.type == ConnectorConfig::Type::kLinear;
  const int64_t hidden = single || config.hidden_width == 0 ? config.output_width : config.hidden_width;
  linear_1_ = register_module("linear_1", std::make_shared<nn::Linear>(config.input_width, hidden, config.bias));
  if (!single) linear_2_ = register_module("linear_2", std::make_shared<nn::Linear>(hidden, config.output_width, config.bias));
}

at::Tensor MlpConnector::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  const at::Tensor x = linear_1_->forward(features.maps);
  return linear_2_ ? linear_2_->forward(nn::activate(activation_, x)) : x;
}

Cost MlpConnector::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = grid.count() * tiles;
  Cost total = linear_1_->cost(rows, work);
  if (linear_2_) total += linear_2_->cost(rows, work);
  return total;
}

}  // namespace ocelli::connector
