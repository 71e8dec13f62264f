#include "ocelli/vision/window_adapter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"

namespace ocelli::vision {
namespace {

constexpr double kOtherRegion = -100.0;

int64_t rounded_up(int64_t length, int64_t window) {
  return (length + window - 1) / window * window;
}

/// Which of its axis' three regions each cell of the filled map belongs to: all but the last window, the last window's unshifted
/// part, the shifted.
at::Tensor regions(int64_t length, int64_t window, int64_t shift) {
  at::Tensor out = at::zeros({length}, at::kLong);
  if (shift == 0) return out;
  out.slice(0, length - window).fill_(1);
  out.slice(0, length - shift).fill_(2);
  return out;
}

}  // namespace

WindowAdapter::WindowAdapter(const WindowAdapterConfig& config) : config_(config) {
  const auto [rows, columns] = config.grid;
  require(config.width > 0 && config.inner_width > 0 && rows > 0 && columns > 0 && config.window > 0,
          "window adapter: width {}, inner width {}, grid {} x {}, window {}: all must be positive", config.width,
          config.inner_width, rows, columns, config.window);
  require(config.num_heads > 0 && config.inner_width % config.num_heads == 0,
          "window adapter: width {} is no multiple of {} heads", config.inner_width, config.num_heads);
  window_ = {std::min(rows, config.window), std::min(columns, config.window)};
  shift_ = {rows <= config.window ? 0 : config.window / 2, columns <= config.window ? 0 : config.window / 2};
  padded_ = {rounded_up(rows, window_.rows), rounded_up(columns, window_.columns)};

  constexpr double kEps = 1e-5;
  const int64_t inner = config.inner_width;
  position_embedding_ = declare("position_embedding", {1, config.grid.count(), config.width}, nn::Init::normal(0.02));
  downsample_ = register_module("downsample", std::make_shared<nn::Linear>(config.width, inner, false));
  norm1_ = register_module("norm1", std::make_shared<nn::LayerNorm>(inner, kEps));
  qkv_ = register_module("qkv", std::make_shared<nn::Linear>(inner, 3 * inner, true));
  proj_ = register_module("proj", std::make_shared<nn::Linear>(inner, inner, true));
  relative_position_bias_table_ =
      declare("relative_position_bias_table", {(2 * window_.rows - 1) * (2 * window_.columns - 1), config.num_heads},
              nn::Init::normal(0.02));
  norm2_ = register_module("norm2", std::make_shared<nn::LayerNorm>(inner, kEps));
  fc1_ = register_module("fc1", std::make_shared<nn::Linear>(inner, 2 * inner, false));
  fc2_ = register_module("fc2", std::make_shared<nn::Linear>(2 * inner, config.width, false, nn::Init::zeros()));
  scale_ = declare("scale", {1}, nn::Init::ones());
}

at::Tensor WindowAdapter::score_bias() const {
  const int64_t cells = window_.count();
  const auto on_device = [&](const at::Tensor& x) { return x.to(relative_position_bias_table_.device()); };
  // The place of a query relative to a key, counted from the smallest.
  const auto difference = [&](int64_t length) {
    const at::Tensor places = at::arange(length, at::kLong);
    return places.unsqueeze(1) - places.unsqueeze(0) + (length - 1);
  };
  const at::Tensor rows = difference(window_.rows).view({window_.rows, 1, window_.rows, 1});
  const at::Tensor columns = difference(window_.columns).view({1, window_.columns, 1, window_.columns});
  const at::Tensor index = (rows * (2 * window_.columns - 1) + columns).reshape({cells * cells});
  const at::Tensor relative =
      relative_position_bias_table_.index_select(0, on_device(index)).view({cells, cells, config_.num_heads}).permute({2, 0, 1});

  const at::Tensor region = regions(padded_.rows, window_.rows, shift_.rows).unsqueeze(1) * 3 +
                            regions(padded_.columns, window_.columns, shift_.columns).unsqueeze(0);
  const image::Grid count = windows();
  const at::Tensor by_window = region.view({count.rows, window_.rows, count.columns, window_.columns})
                                   .permute({0, 2, 1, 3})
                                   .reshape({count.count(), cells});
  const at::Tensor other = by_window.unsqueeze(1).ne(by_window.unsqueeze(2)).to(relative.scalar_type()) * kOtherRegion;
  return relative.unsqueeze(0) + on_device(other).unsqueeze(1);
}

at::Tensor WindowAdapter::forward(const at::Tensor& x) const {
  const auto [rows, columns] = config_.grid;
  const int64_t pictures = x.size(0), inner = config_.inner_width, heads = config_.num_heads, cells = window_.count();
  require(x.size(1) == config_.grid.count(), "window adapter: {} patches do not fill a grid of {} x {}", x.size(1), rows,
          columns);
  const image::Grid count = windows();

  const at::Tensor reduced = downsample_->forward(x + position_embedding_);
  at::Tensor map = norm1_->forward(reduced).view({pictures, rows, columns, inner}).roll({-shift_.rows, -shift_.columns}, {1, 2});
  map = at::constant_pad_nd(map, {0, 0, 0, padded_.columns - columns, 0, padded_.rows - rows}, 0);
  // [N * windows, A, 3 D'] to q, k and v [N * windows, H, A, E].
  const at::Tensor windowed = map.view({pictures, count.rows, window_.rows, count.columns, window_.columns, inner})
                                  .permute({0, 1, 3, 2, 4, 5})
                                  .reshape({pictures * count.count(), cells, inner});
  const auto parts =
      qkv_->forward(windowed).view({pictures * count.count(), cells, 3, heads, inner / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
  const at::Tensor bias = score_bias().unsqueeze(0).expand({pictures, count.count(), heads, cells, cells}).flatten(0, 1);
  const at::Tensor mixed = at::scaled_dot_product_attention(parts[0], parts[1], parts[2], bias);
  at::Tensor attended = proj_->forward(mixed.transpose(1, 2).reshape({pictures * count.count(), cells, inner}));
  attended = attended.view({pictures, count.rows, count.columns, window_.rows, window_.columns, inner})
                 .permute({0, 1, 3, 2, 4, 5})
                 .reshape({pictures, padded_.rows, padded_.columns, inner})
                 .slice(1, 0, rows)
                 .slice(2, 0, columns)
                 .roll({shift_.rows, shift_.columns}, {1, 2})
                 .reshape({pictures, rows * columns, inner});
  const at::Tensor hidden = norm2_->forward(reduced + attended);
  return x + scale_ * fc2_->forward(at::gelu(fc1_->forward(hidden)));
}

Cost WindowAdapter::cost(int64_t pictures, const Workload& work) const {
  const int64_t rows = pictures * config_.grid.count(), filled = pictures * padded_.count();
  Cost total =
      downsample_->cost(rows, work) + norm1_->cost(rows, work) + qkv_->cost(filled, work) +
      nn::attention_cost(filled * window_.count(), filled, config_.num_heads, config_.inner_width / config_.num_heads, work) +
      proj_->cost(filled, work) + norm2_->cost(rows, work) + fc1_->cost(rows, work) + fc2_->cost(rows, work);
  total.parameters +=
      config_.grid.count() * config_.width + 1 + (2 * window_.rows - 1) * (2 * window_.columns - 1) * config_.num_heads;
  return total;
}

}  // namespace ocelli::vision
