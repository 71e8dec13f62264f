#include "ocelli/connector/patch_mining.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "ocelli/base/error.h"

namespace ocelli::connector {

class PatchMining::Projection final : public nn::Module {
 public:
  Projection(int64_t in, int64_t out) {
    norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(in, 1e-5));
    linear_ = register_module("linear", std::make_shared<nn::Linear>(in, out, true));
  }
  at::Tensor forward(const at::Tensor& x) const { return linear_->forward(norm_->forward(x)); }
  Cost cost(int64_t rows, const Workload& work) const { return norm_->cost(rows, work) + linear_->cost(rows, work); }

 private:
  std::shared_ptr<nn::LayerNorm> norm_;
  std::shared_ptr<nn::Linear> linear_;
};

PatchMining::PatchMining(const PatchMiningConfig& config) : config_(config) {
  require(config.aux_width > 0, "patch mining: there is no second tower");
  const int64_t width = config.input_width;
  query_ = register_module("query_proj", std::make_shared<Projection>(width, width));
  key_ = register_module("key_proj", std::make_shared<Projection>(config.aux_width, width));
  value_ = register_module("value_proj", std::make_shared<Projection>(config.aux_width, width));
  linear_1_ = register_module("linear_1", std::make_shared<nn::Linear>(width, config.output_width, true));
  linear_2_ = register_module("linear_2", std::make_shared<nn::Linear>(config.output_width, config.output_width, true));
}

at::Tensor PatchMining::mine(const nn::VisualFeatures& features, const nn::VisualFeatures& aux) const {
  const int64_t rows = features.grid.rows, columns = features.grid.columns;
  const int64_t scale = config_.mining_scale, grid = config_.image_grid, views = config_.views();
  const int64_t pictures = aux.maps.size(0), width = config_.input_width;
  require(features.maps.size(0) == pictures * views,
          "patch mining: {} tiles beside {} pictures of the second tower, expected {} a picture", features.maps.size(0), pictures,
          views);
  require(aux.grid.rows == rows * grid * scale && aux.grid.columns == columns * grid * scale,
          "patch mining: the second tower's grid is {} x {}, expected {} x {}: {} x {} patches times {} tiles times {} cells",
          aux.grid.rows, aux.grid.columns, rows * grid * scale, columns * grid * scale, rows, columns, grid, scale);

  const at::Tensor queries = query_->forward(features.maps).view({pictures, views, rows, columns, width});
  const double shrink = 1.0 / std::sqrt(static_cast<double>(width));
  // One row of patches at a time: the map is the largest tensor of the model, and its rows of cells lie together in memory.
  const auto mined = [&](const at::Tensor& map, const at::Tensor& query) {
    std::vector<at::Tensor> out;
    for (int64_t row = 0; row < rows; ++row) {
      const at::Tensor cells = map.slice(0, row * scale, (row + 1) * scale)
                                   .unflatten(1, {columns, scale})
                                   .transpose(0, 1)
                                   .reshape({columns, scale * scale, map.size(2)});
      const at::Tensor scores = at::bmm(query.select(0, row).unsqueeze(1), key_->forward(cells).transpose(1, 2)) * shrink;
      out.push_back(at::bmm(at::softmax(scores, -1), value_->forward(cells)).squeeze(1));
    }
    return at::cat(out, 0);  // [P, D]
  };

  std::vector<at::Tensor> tokens;
  for (int64_t picture = 0; picture < pictures; ++picture) {
    const at::Tensor map = aux.maps.select(0, picture).view({aux.grid.rows, aux.grid.columns, aux.maps.size(2)});
    const at::Tensor query = queries.select(0, picture);
    const auto add = [&](const at::Tensor& part, int64_t view) {
      tokens.push_back(features.maps.select(0, picture * views + view) + mined(part, query.select(0, view)));
    };
    if (views > grid * grid) {
      const at::Tensor whole =
          at::upsample_bilinear2d(map.permute({2, 0, 1}).unsqueeze(0), {rows * scale, columns * scale}, false);
      add(whole.squeeze(0).permute({1, 2, 0}), views - 1);
    }
    for (int64_t i = 0; i < grid; ++i) {
      for (int64_t j = 0; j < grid; ++j) {
        const at::Tensor part =
            map.slice(0, i * rows * scale, (i + 1) * rows * scale).slice(1, j * columns * scale, (j + 1) * columns * scale);
        add(part, i * grid + j);
      }
    }
  }
  return at::stack(tokens);
}

at::Tensor PatchMining::forward(const nn::VisualFeatures& features, const ConnectorContext& context) {
  require(context.aux != nullptr, "patch mining: there is no second tower");
  return linear_2_->forward(nn::activate(config_.activation, linear_1_->forward(mine(features, *context.aux))));
}

Cost PatchMining::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = grid.count() * tiles, cells = rows * config_.mining_scale * config_.mining_scale;
  Cost total = query_->cost(rows, work) + key_->cost(cells, work) + value_->cost(cells, work);
  total.flops += 4.0 * static_cast<double>(cells * config_.input_width);
  return total + linear_1_->cost(rows, work) + linear_2_->cost(rows, work);
}

}  // namespace ocelli::connector
