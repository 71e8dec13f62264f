#include "ocelli/vision/window_adapter.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::vision {
namespace {

using test::agree;
using test::error_of;
using test::normal;

/// The header's formulas for one picture, cell by cell. x: [rows * columns, D].
at::Tensor plain_adapter(const WindowAdapter& module, const WindowAdapterConfig& config, const at::Tensor& x) {
  const auto p = module.named_parameters();
  const int64_t rows = config.grid.rows, columns = config.grid.columns, inner = config.inner_width;
  const int64_t h = std::min(rows, config.window), w = std::min(columns, config.window);
  const int64_t down = rows > config.window ? config.window / 2 : 0, right = columns > config.window ? config.window / 2 : 0;
  const int64_t padded_rows = (rows + h - 1) / h * h, padded_columns = (columns + w - 1) / w * w;
  const auto linear = [&](const at::Tensor& y, const std::string& name) {
    return at::linear(y, p[name + ".weight"], p.contains(name + ".bias") ? p[name + ".bias"] : at::Tensor());
  };
  const auto norm = [&](const at::Tensor& y, const std::string& name) {
    return at::layer_norm(y, {inner}, p[name + ".weight"], p[name + ".bias"], 1e-5);
  };
  const auto region = [](int64_t place, int64_t length, int64_t window, int64_t shift) {
    if (shift == 0 || place < length - window) return 0;
    return place < length - shift ? 1 : 2;
  };
  const at::Tensor reduced = linear(x + p["position_embedding"][0], "downsample");
  const at::Tensor normed = norm(reduced, "norm1");
  at::Tensor attended = at::zeros_like(reduced);
  for (int64_t top = 0; top < padded_rows; top += h) {
    for (int64_t left = 0; left < padded_columns; left += w) {
      std::vector<at::Tensor> window;
      for (int64_t i = top; i < top + h; ++i) {
        for (int64_t j = left; j < left + w; ++j) {
          const bool inside = i < rows && j < columns;
          window.push_back(inside ? normed[(i + down) % rows * columns + (j + right) % columns]
                                  : at::zeros({inner}, x.options()));
        }
      }
      const auto qkv = linear(at::stack(window), "qkv").chunk(3, 1);
      std::vector<at::Tensor> heads;
      const int64_t width = inner / config.num_heads;
      for (int64_t head = 0; head < config.num_heads; ++head) {
        const auto part = [&](size_t i) { return qkv[i].slice(1, head * width, (head + 1) * width); };
        at::Tensor scores = at::matmul(part(0), part(1).t()) / std::sqrt(static_cast<double>(width));
        at::Tensor added = at::zeros_like(scores.detach());
        for (int64_t a = 0; a < h * w; ++a) {
          for (int64_t b = 0; b < h * w; ++b) {
            const int64_t place = (a / w - b / w + h - 1) * (2 * w - 1) + a % w - b % w + w - 1;
            const auto of = [&](int64_t cell) {
              return 3 * region(top + cell / w, padded_rows, h, down) + region(left + cell % w, padded_columns, w, right);
            };
            added[a][b] = p["relative_position_bias_table"][place][head].detach() - (of(a) == of(b) ? 0 : 100);
          }
        }
        heads.push_back(at::matmul(at::softmax(scores + added, 1), part(2)));
      }
      const at::Tensor out = linear(at::cat(heads, 1), "proj");
      for (int64_t cell = 0; cell < h * w; ++cell) {
        const int64_t i = top + cell / w, j = left + cell % w;
        if (i < rows && j < columns) attended[(i + down) % rows * columns + (j + right) % columns] = out[cell];
      }
    }
  }
  return x + p["scale"] * linear(at::gelu(linear(norm(reduced + attended, "norm2"), "fc1")), "fc2");
}

TEST(WindowAdapter, AttendsWithinShiftedWindows) {
  // Windows that fill the map, ones that don't, a side of a single window, and a map of one.
  for (const image::Grid grid : {image::Grid{8, 8}, {7, 10}, {3, 9}, {4, 4}}) {
    const WindowAdapterConfig config{.width = 6, .inner_width = 4, .num_heads = 2, .grid = grid, .window = 4};
    WindowAdapter module(config);
    test::randomize(module, 1, at::kDouble);
    const at::NoGradGuard no_grad;
    const at::Tensor x = normal({2, grid.count(), 6}, at::kDouble, 2);
    const at::Tensor got = module.forward(x);
    for (int64_t n = 0; n < 2; ++n) {
      EXPECT_TRUE(agree(got[n], plain_adapter(module, config, x[n]), 1e-12)) << grid.rows << " x " << grid.columns;
    }
  }
}

TEST(WindowAdapter, StartsAsTheIdentityAndLearns) {
  WindowAdapter module({.width = 6, .inner_width = 4, .num_heads = 2, .grid = {5, 6}, .window = 4});
  nn::initialize(module, 1);
  const at::Tensor x = normal({1, 30, 6}, at::kFloat, 2);
  EXPECT_TRUE(at::equal(module.forward(x), x));
  test::randomize(module, 3, at::kFloat);
  module.forward(x).square().sum().backward();
  for (const auto& parameter : module.named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().max().item<float>(), 0) << parameter.key();
  }
}

TEST(WindowAdapter, CostCountsItsParameters) {
  const WindowAdapter module({.width = 1664, .inner_width = 1024, .num_heads = 32, .grid = {64, 64}});
  EXPECT_EQ(module.cost(1, {}).parameters, nn::count_parameters(module));
  // 36 windows of 144 cells.
  const double filled = 72 * 72, rows = 64 * 64, inner = 1024;
  const double products = 2 * rows * 1664 * inner + 2 * filled * inner * 4 * inner + 4 * filled * 144 * inner +
                          2 * rows * inner * 2 * inner + 2 * rows * 2 * inner * 1664;
  EXPECT_GE(module.cost(1, {}).flops, products);
  EXPECT_LE(module.cost(1, {}).flops, 1.02 * products);
}

TEST(WindowAdapter, NamesWhatDoesNotFit) {
  EXPECT_EQ(error_of([] {
              const WindowAdapter module({.width = 6, .inner_width = 5, .num_heads = 2, .grid = {2, 2}});
            }),
            "window adapter: width 5 is no multiple of 2 heads");
  WindowAdapter module({.width = 6, .inner_width = 4, .num_heads = 2, .grid = {2, 3}});
  nn::initialize(module, 1);
  EXPECT_EQ(error_of([&] { module.forward(at::zeros({1, 5, 6})); }), "window adapter: 5 patches do not fill a grid of 2 x 3");
}

}  // namespace
}  // namespace ocelli::vision
