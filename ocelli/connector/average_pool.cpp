#include "ocelli/connector/average_pool.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::connector {

at::Tensor average_pool(const at::Tensor& maps, image::Grid from, image::Grid to) {
  const int64_t tiles = maps.size(0), width = maps.size(2);
  require(maps.size(1) == from.count(), "average pool: {} patches do not fill a grid of {} x {}", maps.size(1), from.rows,
          from.columns);
  const at::Tensor map = maps.reshape({tiles, from.rows, from.columns, width}).permute({0, 3, 1, 2});
  return at::adaptive_avg_pool2d(map, {to.rows, to.columns}).permute({0, 2, 3, 1}).reshape({tiles, to.count(), width});
}

Cost average_pool_cost(image::Grid from, image::Grid to, int64_t tiles, int64_t width, const Workload& work) {
  Cost cost;
  cost.flops = static_cast<double>(from.count() * tiles) * static_cast<double>(width);
  cost.activation_bytes =
      static_cast<double>((from.count() + to.count()) * tiles) * static_cast<double>(width * work.activation_bytes);
  return cost;
}

AveragePool::AveragePool(const AveragePoolConfig& config) : pooled_(config.pooled), input_width_(config.input_width) {
  require(pooled_.rows > 0 && pooled_.columns > 0, "average pool: to a grid of {} x {}, expected at least one cell", pooled_.rows,
          pooled_.columns);
  require(config.num_layers == 1 || config.num_layers == 2, "average pool: num_layers is {}, expected 1 or 2", config.num_layers);
  linear_1_ = register_module("linear_1", std::make_shared<nn::Linear>(config.input_width, config.output_width, true));
  if (config.num_layers == 2) {
    linear_2_ = register_module("linear_2", std::make_shared<nn::Linear>(config.output_width, config.output_width, true));
  }
}

at::Tensor AveragePool::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  const at::Tensor x = linear_1_->forward(average_pool(features.maps, features.grid, pooled_));
  return linear_2_ ? linear_2_->forward(at::gelu(x)) : x;
}

Cost AveragePool::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = pooled_.count() * tiles;
  Cost total = average_pool_cost(grid, pooled_, tiles, input_width_, work) + linear_1_->cost(rows, work);
  if (linear_2_) total += linear_2_->cost(rows, work);
  return total;
}

}  // namespace ocelli::connector
