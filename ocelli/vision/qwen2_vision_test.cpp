#include "ocelli/vision/qwen2_vision.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "ocelli/base/error.h"

namespace ocelli::vision {
namespace {

Qwen2VisionConfig small(bool windowed) {
  Qwen2VisionConfig config;
  config.windowed = windowed;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.patch_size = 4;
  config.window_size = 16;
  config.fullatt_block_indexes = {1};
  config.hidden_act = windowed ? nn::Activation::kSilu : nn::Activation::kQuickGelu;
  return config;
}

std::shared_ptr<Qwen2Vision> filled(const Qwen2VisionConfig& config) {
  auto tower = std::make_shared<Qwen2Vision>(config);
  at::manual_seed(1);
  nn::for_each_parameter(*tower, [](const std::string& name, const nn::Parameter& parameter) {
    nn::fill(name, parameter, at::randn(parameter.shape) * 0.2);
  });
  return tower;
}

TEST(Qwen2Vision, WindowsCoverEveryPatchOnce) {
  const auto windows = Qwen2Vision::windows({6, 10}, 4);
  EXPECT_EQ(windows.sizes, (std::vector<int64_t>{16, 16, 8, 8, 8, 4}));
  EXPECT_EQ((std::vector<int64_t>(windows.order.begin(), windows.order.begin() + 5)), (std::vector<int64_t>{0, 1, 2, 3, 10}));
  std::vector<int64_t> sorted = windows.order, all(60);
  std::sort(sorted.begin(), sorted.end());
  std::iota(all.begin(), all.end(), int64_t{0});
  EXPECT_EQ(sorted, all);
}

TEST(Qwen2Vision, PicturesOfOneBatchDoNotSeeEachOther) {
  const at::InferenceMode inference;
  for (const bool windowed : {false, true}) {
    const auto tower = filled(small(windowed));
    nn::RunContext context;
    const at::Tensor pixels = at::randn({2, 3, 24, 40});
    const nn::VisualFeatures both = tower->forward(pixels, context);
    EXPECT_EQ(both.grid, (image::Grid{6, 10}));
    EXPECT_EQ(both.maps.sizes(), (at::IntArrayRef{2, 60, 32}));
    const nn::VisualFeatures second = tower->forward(pixels.slice(0, 1), context);
    EXPECT_LT((both.maps[1] - second.maps[0]).abs().max().item<float>(), 1e-4F);
  }
}

TEST(Qwen2Vision, BlocksOutsideTheListSeeTheirWindowAlone) {
  const at::InferenceMode inference;
  Qwen2VisionConfig config = small(true);
  config.fullatt_block_indexes.clear();
  const auto tower = filled(config);
  nn::RunContext context;
  const at::Tensor pixels = at::randn({1, 3, 24, 40});
  at::Tensor changed = pixels.clone();
  changed.slice(2, 0, 4).slice(3, 0, 4) += 1;  // the first patch: of the first window
  const at::Tensor moved =
      (tower->forward(pixels, context).maps - tower->forward(changed, context).maps).abs().amax(-1).view({6, 10});
  EXPECT_GT(moved.slice(0, 0, 4).slice(1, 0, 4).min().item<float>(), 1e-6F);
  EXPECT_EQ(moved.slice(1, 4).max().item<float>(), 0.0F);
  EXPECT_EQ(moved.slice(0, 4).max().item<float>(), 0.0F);
}

TEST(Qwen2Vision, CostCountsTheParametersAndThePairsOfWindows) {
  for (const bool windowed : {false, true}) {
    const Qwen2Vision tower(small(windowed));
    Workload work;
    work.tiles = {{24, 40}, {16, 16}};
    EXPECT_EQ(tower.cost(work).parameters, nn::count_parameters(tower));
  }
  Qwen2VisionConfig everywhere = small(true), within = small(true);
  everywhere.fullatt_block_indexes = {0, 1};
  within.fullatt_block_indexes = {};
  Workload work;
  work.tiles = {{64, 64}};
  EXPECT_GT(Qwen2Vision(everywhere).cost(work).flops, Qwen2Vision(within).cost(work).flops);
}

TEST(Qwen2Vision, RefusesSidesThatHoldHalfAToken) {
  const Qwen2Vision tower(small(false));
  EXPECT_THROW(tower.grid(12, 16), Error);
  EXPECT_THROW(tower.grid(0, 16), Error);
}

}  // namespace
}  // namespace ocelli::vision
