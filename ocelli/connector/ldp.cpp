#include "ocelli/connector/ldp.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/connector/average_pool.h"

namespace ocelli::connector {
namespace {

constexpr double kUniform = 1.0 / 3;  ///< torch's default for nine inputs: 1 / sqrt(9)

/// map: [N, rows, columns, D]; weight: [D, 1, 3, 3]. Each channel on its own, padding 1. Returns [N, rows', columns', D].
at::Tensor depthwise(const at::Tensor& map, const at::Tensor& weight, const at::Tensor& bias, int64_t stride) {
  return at::conv2d(map.permute({0, 3, 1, 2}), weight, bias, {stride, stride}, {1, 1}, {1, 1}, map.size(3)).permute({0, 2, 3, 1});
}

Cost depthwise_cost(int64_t cells, int64_t width, bool bias, const Workload& work) {
  Cost cost;
  cost.parameters = width * (bias ? 10 : 9);
  cost.flops = static_cast<double>(cells) * static_cast<double>(width) * (bias ? 19 : 18);
  cost.weight_bytes = static_cast<double>(cost.parameters * work.weight_bytes);
  cost.activation_bytes = static_cast<double>(cells) * static_cast<double>(width * work.activation_bytes) * 2;
  return cost;
}

/// torchvision's: a quarter of the channels to the nearest multiple of 8, at least 8 and nine tenths.
int64_t squeeze_width(int64_t width) {
  const int64_t quarter = width / 4;
  int64_t rounded = std::max<int64_t>(8, (quarter + 4) / 8 * 8);
  if (10 * rounded < 9 * quarter) rounded += 8;
  return rounded;
}

image::Grid strided(image::Grid grid, int64_t stride) {
  return {(grid.rows + stride - 1) / stride, (grid.columns + stride - 1) / stride};
}

at::Tensor as_map(const at::Tensor& rows, image::Grid grid, const char* what) {
  require(rows.size(1) == grid.count(), "{}: {} patches do not fill a grid of {} x {}", what, rows.size(1), grid.rows,
          grid.columns);
  return rows.reshape({rows.size(0), grid.rows, grid.columns, rows.size(2)});
}

}  // namespace

class LdpV1::Block final : public nn::Module {
 public:
  Block(int64_t width, int64_t stride) : width_(width), stride_(stride) {
    constexpr double kEps = 1e-5;
    depthwise_ = declare("depthwise", {width, 1, 3, 3}, nn::Init::uniform(kUniform));
    norm1_ = register_module("norm1", std::make_shared<nn::LayerNorm>(width, kEps));
    squeeze_ = register_module("squeeze", std::make_shared<nn::Linear>(width, squeeze_width(width), true));
    excite_ = register_module("excite", std::make_shared<nn::Linear>(squeeze_width(width), width, true));
    pointwise_ = register_module("pointwise", std::make_shared<nn::Linear>(width, width, false));
    norm2_ = register_module("norm2", std::make_shared<nn::LayerNorm>(width, kEps));
  }

  /// map: [N, rows, columns, D].
  at::Tensor forward(const at::Tensor& map) const {
    at::Tensor x = at::hardswish(norm1_->forward(depthwise(map, depthwise_, {}, stride_)));
    const at::Tensor gate = at::hardsigmoid(excite_->forward(at::relu(squeeze_->forward(x.mean({1, 2}, true)))));
    x = norm2_->forward(pointwise_->forward(x * gate));
    return stride_ == 1 ? map + x : x;
  }

  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const {
    const int64_t cells = strided(grid, stride_).count() * tiles;
    return depthwise_cost(cells, width_, false, work) + norm1_->cost(cells, work) + squeeze_->cost(tiles, work) +
           excite_->cost(tiles, work) + pointwise_->cost(cells, work) + norm2_->cost(cells, work);
  }

 private:
  int64_t width_, stride_;
  at::Tensor depthwise_;  ///< [D, 1, 3, 3]
  std::shared_ptr<nn::LayerNorm> norm1_, norm2_;
  std::shared_ptr<nn::Linear> squeeze_, excite_, pointwise_;
};

LdpV1::LdpV1(const LdpConfig& config) {
  linear_1_ = register_module("linear_1", std::make_shared<nn::Linear>(config.input_width, config.output_width, true));
  linear_2_ = register_module("linear_2", std::make_shared<nn::Linear>(config.output_width, config.output_width, true));
  blocks_[0] = register_module("block_1", std::make_shared<Block>(config.output_width, 1));
  blocks_[1] = register_module("block_2", std::make_shared<Block>(config.output_width, 2));
}

at::Tensor LdpV1::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  const at::Tensor rows = linear_2_->forward(at::gelu(linear_1_->forward(features.maps)));
  at::Tensor map = as_map(rows, features.grid, "ldp");
  for (const auto& block : blocks_) map = block->forward(map);
  return map.reshape({map.size(0), map.size(1) * map.size(2), map.size(3)});
}

int64_t LdpV1::num_tokens(image::Grid grid) const {
  return strided(grid, 2).count();
}

Cost LdpV1::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = grid.count() * tiles;
  return linear_1_->cost(rows, work) + linear_2_->cost(rows, work) + blocks_[0]->cost(grid, tiles, work) +
         blocks_[1]->cost(grid, tiles, work);
}

LdpV2::LdpV2(const LdpConfig& config) : pooled_(config.pooled), width_(config.output_width) {
  require(pooled_.rows > 0 && pooled_.columns > 0, "ldp_v2: pooled to a grid of {} x {}, expected at least one cell",
          pooled_.rows, pooled_.columns);
  linear_1_ = register_module("linear_1", std::make_shared<nn::Linear>(config.input_width, width_, true));
  linear_2_ = register_module("linear_2", std::make_shared<nn::Linear>(width_, width_, true));
  peg_weight_ = declare("peg_weight", {width_, 1, 3, 3}, nn::Init::uniform(kUniform));
  peg_bias_ = declare("peg_bias", {width_}, nn::Init::zeros());
}

at::Tensor LdpV2::forward(const nn::VisualFeatures& features, const ConnectorContext&) {
  const at::Tensor rows = linear_2_->forward(at::gelu(linear_1_->forward(features.maps)));
  const at::Tensor map = as_map(average_pool(rows, features.grid, pooled_), pooled_, "ldp_v2");
  return (map + depthwise(map, peg_weight_, peg_bias_, 1)).reshape({map.size(0), pooled_.count(), width_});
}

Cost LdpV2::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = grid.count() * tiles;
  return linear_1_->cost(rows, work) + linear_2_->cost(rows, work) + average_pool_cost(grid, pooled_, tiles, width_, work) +
         depthwise_cost(pooled_.count() * tiles, width_, true, work);
}

}  // namespace ocelli::connector
