#include "ocelli/connector/pixel_shuffle.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::connector {

PixelShuffle::PixelShuffle(const ConnectorConfig& config)
    : scale_(config.scale), input_width_(config.input_width), activation_(config.activation) {
  const int64_t folded = config.input_width * config.scale * config.scale;
  const int64_t hidden = config.hidden_width == 0 ? config.output_width : config.hidden_width;
  layer_norm_ = register_module("layer_norm", std::make_shared<nn::LayerNorm>(folded, config.layer_norm_eps));
  linear_1_ = register_module("linear_1", std::make_shared<nn::Linear>(folded, hidden, config.bias));
  linear_2_ = register_module("linear_2", std::make_shared<nn::Linear>(hidden, config.output_width, config.bias));
}

at::Tensor PixelShuffle::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  const int64_t tokens = num_tokens(features.grid);
  const auto [rows, columns] = features.grid;
  require(features.maps.size(1) == features.grid.count(), "pixel_shuffle: {} patches do not fill a grid of {} x {}",
          features.maps.size(1), rows, columns);
  const int64_t tiles = features.maps.size(0), r = scale_;
  const at::Tensor folded = features.maps.reshape({tiles, rows / r, r, columns / r, r, input_width_})
                                .permute({0, 1, 3, 2, 4, 5})
                                .reshape({tiles, tokens, r * r * input_width_});
  return linear_2_->forward(nn::activate(activation_, linear_1_->forward(layer_norm_->forward(folded))));
}

int64_t PixelShuffle::num_tokens(image::Grid grid) const {
  require(grid.rows % scale_ == 0 && grid.columns % scale_ == 0, "pixel_shuffle: grid {} x {} is no multiple of {}", grid.rows,
          grid.columns, scale_);
  return grid.count() / (scale_ * scale_);
}

Cost PixelShuffle::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = num_tokens(grid) * tiles;
  return layer_norm_->cost(rows, work) + linear_1_->cost(rows, work) + linear_2_->cost(rows, work);
}

}  // namespace ocelli::connector
