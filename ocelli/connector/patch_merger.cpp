#include "ocelli/connector/patch_merger.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::connector {

PatchMerger::PatchMerger(const PatchMergerConfig& config) : config_(config) {
  const int64_t folded = config.input_width * config.scale * config.scale;
  if (config.norm) norm_ = register_module("norm", nn::make_norm(*config.norm, config.input_width, config.layer_norm_eps));
  linear_1_ = register_module(
      "linear_1", std::make_shared<nn::Linear>(folded, config.num_layers == 1 ? config.output_width : folded, config.bias));
  if (config.num_layers > 1)
    linear_2_ = register_module("linear_2", std::make_shared<nn::Linear>(folded, config.output_width, config.bias));
}

at::Tensor PatchMerger::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  const int64_t tokens = num_tokens(features.grid);
  const auto [rows, columns] = features.grid;
  require(features.maps.size(1) == features.grid.count(), "patch_merger: {} patches do not fill a grid of {} x {}",
          features.maps.size(1), rows, columns);
  const int64_t tiles = features.maps.size(0), r = config_.scale;
  const at::Tensor maps = norm_ ? norm_->forward(features.maps) : features.maps;
  const at::Tensor folded = maps.reshape({tiles, rows / r, r, columns / r, r, config_.input_width})
                                .permute({0, 1, 3, 2, 4, 5})
                                .reshape({tiles, tokens, r * r * config_.input_width});
  const at::Tensor first = linear_1_->forward(folded);
  return linear_2_ ? linear_2_->forward(nn::activate(config_.activation, first)) : first;
}

int64_t PatchMerger::num_tokens(image::Grid grid) const {
  const int64_t r = config_.scale;
  require(grid.rows % r == 0 && grid.columns % r == 0, "patch_merger: grid {} x {} is no multiple of {}", grid.rows, grid.columns,
          r);
  return grid.count() / (r * r);
}

Cost PatchMerger::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = num_tokens(grid) * tiles;
  Cost total = linear_1_->cost(rows, work);
  if (norm_) total += norm_->cost(grid.count() * tiles, work);
  if (linear_2_) total += linear_2_->cost(rows, work);
  return total;
}

}  // namespace ocelli::connector
