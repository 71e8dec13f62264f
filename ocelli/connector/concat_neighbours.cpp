#include "ocelli/connector/concat_neighbours.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::connector {

ConcatNeighbours::ConcatNeighbours(int64_t neighbours, int64_t input_width, int64_t output_width, bool bias)
    : neighbours_(neighbours), input_width_(input_width) {
  linear_1_ = register_module("linear_1", std::make_shared<nn::Linear>(neighbours * input_width, output_width, bias));
}

at::Tensor ConcatNeighbours::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  const int64_t tokens = num_tokens(features.grid);
  require(features.maps.size(1) == features.grid.count(), "concat: {} patches do not fill a grid of {} x {}",
          features.maps.size(1), features.grid.rows, features.grid.columns);
  return linear_1_->forward(features.maps.reshape({features.maps.size(0), tokens, neighbours_ * input_width_}));
}

int64_t ConcatNeighbours::num_tokens(image::Grid grid) const {
  require(grid.count() % neighbours_ == 0, "concat: the {} patches of a grid of {} x {} are no multiple of {}", grid.count(),
          grid.rows, grid.columns, neighbours_);
  return grid.count() / neighbours_;
}

Cost ConcatNeighbours::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  return linear_1_->cost(num_tokens(grid) * tiles, work);
}

}  // namespace ocelli::connector
