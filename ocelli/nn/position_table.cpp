#include "ocelli/nn/position_table.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/rope.h"

namespace ocelli::nn {

at::Tensor sin_cos_table(image::Grid grid, int64_t width) {
  require(width > 0 && width % 4 == 0, "sine and cosine positions: width {} is no multiple of 4", width);
  const int64_t quarter = width / 4;
  const at::Tensor frequencies = at::pow(10000.0, at::arange(quarter, at::kDouble) / static_cast<double>(-quarter));
  // Both halves repeat along the other axis: sines are taken once a row and once a column.
  const auto axis = [&](int64_t length) {
    const at::Tensor angles = at::outer(at::arange(length, at::kDouble), frequencies);
    const RopeTable table = turned(angles);
    return at::cat({table.sine, table.cosine}, 1).to(at::kFloat);
  };
  const at::Tensor columns = axis(grid.columns).unsqueeze(0).expand({grid.rows, grid.columns, width / 2});
  const at::Tensor rows = axis(grid.rows).unsqueeze(1).expand({grid.rows, grid.columns, width / 2});
  return at::cat({columns, rows}, 2).view({grid.count(), width});
}

at::Tensor resize_position_table(const at::Tensor& table, image::Grid from, image::Grid to, bool antialias) {
  require(table.dim() == 2 && table.size(0) == from.count(), "positions: a table of shape {} does not fill a grid of {} x {}",
          c10::str(table.sizes()), from.rows, from.columns);
  if (from == to) return table;
  const at::ScalarType dtype = table.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor map = table.to(dtype).view({1, from.rows, from.columns, table.size(1)}).permute({0, 3, 1, 2}).contiguous();
  const at::Tensor resized = antialias ? at::_upsample_bicubic2d_aa(map, {to.rows, to.columns}, false)
                                       : at::upsample_bicubic2d(map, {to.rows, to.columns}, false);
  return resized.permute({0, 2, 3, 1}).reshape({to.count(), table.size(1)}).to(table.scalar_type());
}

image::Grid square_grid(int64_t rows, const char* what) {
  const int64_t side = std::llround(std::sqrt(static_cast<double>(rows)));
  require(rows > 0 && side * side == rows, "{}: {} positions are not a square grid", what, rows);
  return {side, side};
}

}  // namespace ocelli::nn
