#pragma once

#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"

namespace ocelli::connector {

/// Averages patches over the cells of a fixed grid, then projects: linear_2(gelu(linear_1(pool(x)))). Cell i of n over a side of
/// length s averages patches floor(i s / n) up to ceil((i + 1) s / n), so cells overlap where n doesn't divide s. Source: DeCo,
/// arXiv:2405.20985, and the core code on its repository's page.
class AveragePool final : public Connector {
 public:
  explicit AveragePool(const AveragePoolConfig& config);
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid) const override { return pooled_.count(); }
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  image::Grid pooled_;
  int64_t input_width_;
  std::shared_ptr<nn::Linear> linear_1_, linear_2_;  ///< the second is null for one projection
};

/// maps: [N, P, D] on `from`, raster order. Returns [N, to.count(), D]: means over the cells of `to`.
/// Throws Error when the patches do not fill the grid.
at::Tensor average_pool(const at::Tensor& maps, image::Grid from, image::Grid to);
Cost average_pool_cost(image::Grid from, image::Grid to, int64_t tiles, int64_t width, const Workload& work);

}  // namespace ocelli::connector
