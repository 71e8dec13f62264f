#include "ocelli/vision/convnext.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"
#include "ocelli/vision/test_towers.h"

namespace ocelli::vision {
namespace {

using test::agree;
using test::error_of;
using test::normal;

ConvNextConfig small() {
  ConvNextConfig config;
  config.hidden_sizes = {4, 6, 8};
  config.depths = {2, 1, 2};
  return config;
}

/// In the channels-first form, operation by operation.
at::Tensor plain(const ConvNextConfig& config, const torch::OrderedDict<std::string, at::Tensor>& named, at::Tensor x) {
  at::NoGradGuard no_grad;
  const auto norm = [&](const std::string& name, const at::Tensor& map) {
    const at::Tensor centred = map - map.mean(1, true);
    const at::Tensor scaled = centred / at::sqrt(centred.square().mean(1, true) + 1e-6);
    return scaled * named[name + ".weight"].view({1, -1, 1, 1}) + named[name + ".bias"].view({1, -1, 1, 1});
  };
  const auto conv = [&](const std::string& name, const at::Tensor& map, int64_t stride, int64_t padding, int64_t groups) {
    return at::conv2d(map, named[name + ".weight"], named[name + ".bias"], {stride, stride}, {padding, padding}, {1, 1}, groups);
  };
  const auto pointwise = [&](const std::string& name, const at::Tensor& map) {
    return at::conv2d(map, named[name + ".weight"].unsqueeze(-1).unsqueeze(-1), named[name + ".bias"]);
  };
  std::vector<at::Tensor> maps;
  for (size_t i = 0; i < config.depths.size(); ++i) {
    const std::string stage = "stages." + std::to_string(i) + ".";
    if (i == 0) {
      x = norm("stem.norm", conv("stem.conv", x, 4, 0, 1));
    } else {
      x = conv(stage + "downsample.conv", norm(stage + "downsample.norm", x), 2, 0, 1);
    }
    for (int64_t j = 0; j < config.depths[i]; ++j) {
      const std::string block = stage + "blocks." + std::to_string(j) + ".";
      at::Tensor y = norm(block + "norm", conv(block + "conv_dw", x, 1, 3, config.hidden_sizes[i]));
      y = pointwise(block + "mlp.fc2", at::gelu(pointwise(block + "mlp.fc1", y)));
      x = x + y * named[block + "gamma"].view({1, -1, 1, 1});
    }
    maps.push_back(i == 0 ? x : at::upsample_bilinear2d(x, maps[0].sizes().slice(2), false));
  }
  return at::cat(maps, 1).flatten(2).transpose(1, 2);
}

TEST(ConvNextTower, EqualsItsDefinition) {
  ConvNextTower tower(small());
  test::randomize(tower, 3, at::kDouble);
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{48, 80}, {16, 16}, {39, 54}}) {
    const at::Tensor pixels = normal({2, 3, height, width}, at::kDouble, 1);
    nn::RunContext context;
    const nn::VisualFeatures got = tower.forward(pixels, context);
    EXPECT_TRUE(agree(got.maps, plain(small(), tower.named_parameters(), pixels), 1e-11)) << height << " x " << width;
    EXPECT_EQ(got.grid, (image::Grid{height / 4, width / 4}));
    EXPECT_EQ(got.grid, tower.grid(height, width));
  }
}

TEST(ConvNextTower, CheckpointingGivesTheSameGradients) {
  ConvNextTower tower(small());
  test::randomize(tower, 3, at::kDouble);
  const at::Tensor pixels = normal({1, 3, 32, 32}, at::kDouble, 1);
  const auto plain = test::tower_gradients(tower, pixels, false), kept = test::tower_gradients(tower, pixels, true);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_TRUE(agree(plain[i], kept[i], 1e-12)) << i;
    EXPECT_GT(plain[i].abs().max().item<double>(), 0) << i;
  }
}

TEST(ConvNextTower, NamesPixelsTooFewForItsLastStage) {
  const ConvNextTower tower(small());
  EXPECT_EQ(error_of([&] { (void)tower.grid(15, 64); }), "ConvNeXt tower: a tile of 64 x 15 pixels, expected at least 16 a side");
}

TEST(ConvNextTower, CostCountsParametersAndProducts) {
  const ConvNextTower tower(small());
  EXPECT_EQ(tower.cost({}).parameters, nn::count_parameters(tower));
  Workload work;
  work.tiles = {{32, 48}};
  const Cost one = tower.cost(work);
  EXPECT_EQ(one.parameters, nn::count_parameters(tower));
  const auto block = [](double cells, double width) { return 2 * cells * width * (49 + 8 * width); };
  const double products = 2 * 96 * 48 * 4 + 2 * block(96, 4) + 2 * 24 * 16 * 6 + block(24, 6) + 2 * 6 * 24 * 8 + 2 * block(6, 8);
  EXPECT_GE(one.flops, products);
  EXPECT_LE(one.flops, 1.2 * products);
  work.tiles = {{32, 48}, {32, 48}};
  work.batch = 3;
  EXPECT_DOUBLE_EQ(tower.cost(work).flops, 6 * one.flops);
  EXPECT_DOUBLE_EQ(tower.cost(work).weight_bytes, one.weight_bytes);
}

TEST(ConvNextTower, IsAboutTwoHundredMillionAsPublished) {
  const ConvNextTower tower{ConvNextConfig{}};
  EXPECT_EQ(tower.feature_width(), 2880);
  EXPECT_EQ(tower.grid(768, 768), (image::Grid{192, 192}));
  EXPECT_NEAR(static_cast<double>(nn::count_parameters(tower)), 196.2e6, 0.1e6);
}

TEST(ConvNextConfig, ItsJsonSaysItAllAndFaultsAreNamed) {
  const Json json = small().to_json();
  EXPECT_EQ(ConvNextConfig::from_json(JsonView(json, "c")).to_json(), json);
  Json wrong = json;
  wrong["depths"] = {2, 1};
  EXPECT_EQ(error_of([&] { ConvNextConfig::from_json(JsonView(wrong, "c")); }),
            "c: 2 depths and 3 hidden_sizes, expected one of each a stage, for 1 to 8 stages");
  wrong["depths"] = {2, 1, 0};
  EXPECT_EQ(error_of([&] { ConvNextConfig::from_json(JsonView(wrong, "c")); }),
            "c: depths holds 0, expected integers from 1 to 256");
}

}  // namespace
}  // namespace ocelli::vision
