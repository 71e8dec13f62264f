#include "ocelli/vision/text_monkey_tower.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "ocelli/base/error.h"

namespace ocelli::vision {
namespace {}  // namespace

TextMonkeyTower::TextMonkeyTower(const VisionConfig& config) : config_(config), side_(config.windows.window * config.patch_size) {
  const WindowConfig& windows = config.windows;
  require(windows.window > 0 && windows.grid.rows > 0 && windows.grid.columns > 0 && windows.grid.rows % windows.window == 0 &&
              windows.grid.columns % windows.window == 0,
          "vision tower: a picture of {} x {} patches is not cut into windows of {}", windows.grid.rows, windows.grid.columns,
          windows.window);
  require(windows.adapter_blocks.size() == windows.adapter_widths.size() &&
              windows.adapter_blocks.size() == windows.adapter_heads.size(),
          "vision tower: {} adapters by their blocks, {} by their widths, {} by their heads", windows.adapter_blocks.size(),
          windows.adapter_widths.size(), windows.adapter_heads.size());
  windows_ = {windows.grid.rows / windows.window, windows.grid.columns / windows.window};
  trunk_ = register_module("trunk", std::make_shared<VisionTransformer>(config));
  auto adapters = register_module("adapters", std::make_shared<nn::Holder>());
  for (size_t i = 0; i < windows.adapter_blocks.size(); ++i) {
    adapters_.push_back(adapters->register_module(std::to_string(i), std::make_shared<WindowAdapter>(WindowAdapterConfig{
                                                                         .width = config.hidden_size,
                                                                         .inner_width = windows.adapter_widths[i],
                                                                         .num_heads = windows.adapter_heads[i],
                                                                         .grid = windows.grid,
                                                                     })));
  }
}

image::Grid TextMonkeyTower::grid(int64_t height, int64_t width) const {
  const image::Grid grid = config_.windows.grid;
  require(height == grid.rows * config_.patch_size && width == grid.columns * config_.patch_size,
          "vision tower: a picture of {} x {} pixels, expected {} x {}", width, height, grid.columns * config_.patch_size,
          grid.rows * config_.patch_size);
  return {views() * config_.windows.window, config_.windows.window};
}

at::Tensor TextMonkeyTower::global_pixels(const at::Tensor& pixels) const {
  const at::Tensor wide = pixels.scalar_type() == at::kDouble ? pixels : pixels.to(at::kFloat);
  return at::upsample_bicubic2d(wide, {side_, side_}, false).to(pixels.scalar_type());
}

at::Tensor TextMonkeyTower::adapt(const WindowAdapter& adapter, const at::Tensor& x, int64_t pictures) const {
  const int64_t window = config_.windows.window, width = config_.hidden_size, count = windows_.count();
  const at::Tensor by_view = x.view({pictures, views(), window * window, width});
  const at::Tensor map = by_view.slice(1, 0, count)
                             .reshape({pictures, windows_.rows, windows_.columns, window, window, width})
                             .permute({0, 1, 3, 2, 4, 5})
                             .reshape({pictures, config_.windows.grid.count(), width});
  const at::Tensor cut = adapter.forward(map)
                             .view({pictures, windows_.rows, window, windows_.columns, window, width})
                             .permute({0, 1, 3, 2, 4, 5})
                             .reshape({pictures, count, window * window, width});
  const at::Tensor all = config_.windows.global_view ? at::cat({cut, by_view.slice(1, count)}, 1) : cut;
  return all.reshape({pictures * views() * window * window, width});
}

nn::VisualFeatures TextMonkeyTower::forward(const at::Tensor& pixels, nn::RunContext& context) {
  require(pixels.dim() == 4 && pixels.size(1) == config_.num_channels,
          "vision tower: pixels of shape {}, expected N x {} x height x width", c10::str(pixels.sizes()), config_.num_channels);
  const image::Grid stacked = grid(pixels.size(2), pixels.size(3));
  const int64_t pictures = pixels.size(0), channels = config_.num_channels;
  at::Tensor cut = pixels.view({pictures, channels, windows_.rows, side_, windows_.columns, side_})
                       .permute({0, 2, 4, 1, 3, 5})
                       .reshape({pictures, windows_.count(), channels, side_, side_});
  if (config_.windows.global_view) cut = at::cat({cut, global_pixels(pixels).unsqueeze(1)}, 1);

  at::Tensor x = trunk_->embed(cut.flatten(0, 1), context);  // [N * views, P, D]
  const int64_t tiles = x.size(0), length = x.size(1);
  x = x.reshape({tiles * length, config_.hidden_size});
  const int64_t blocks = config_.num_hidden_layers;
  int64_t done = 0;
  for (size_t i = 0; i < adapters_.size() && config_.windows.adapter_blocks[i] < blocks; ++i) {
    const int64_t next = config_.windows.adapter_blocks[i];
    x = trunk_->run_blocks(x, tiles, done, next, context);
    done = next;
    const auto& adapter = adapters_[i];
    x = nn::run_block(
        "vision_tower.adapters." + std::to_string(i),
        [this, adapter, pictures](const at::Tensor& hidden) { return adapt(*adapter, hidden, pictures); }, x, context);
  }
  x = trunk_->run_blocks(x, tiles, done, blocks, context);
  return {x.view({pictures, stacked.count(), config_.hidden_size}), stacked};
}

Cost TextMonkeyTower::cost(const Workload& work) const {
  Workload by_view = work;
  by_view.tiles.clear();
  for (const auto& [height, width] : work.tiles) {
    (void)grid(height, width);
    by_view.tiles.insert(by_view.tiles.end(), static_cast<size_t>(views()), {side_, side_});
  }
  Cost total = trunk_->cost(by_view);
  const int64_t pictures = static_cast<int64_t>(work.tiles.size()) * work.batch;
  for (size_t i = 0; i < adapters_.size(); ++i) {
    const bool runs = config_.windows.adapter_blocks[i] < config_.num_hidden_layers;
    total += adapters_[i]->cost(runs ? pictures : 0, work);
  }
  return total;
}

}  // namespace ocelli::vision
