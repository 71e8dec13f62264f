#include "ocelli/vision/text_monkey_tower.h"

#include <ATen/ATen.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"
#include "ocelli/vision/test_towers.h"

namespace ocelli::vision {
namespace {

using test::agree;
using test::error_of;
using test::normal;

VisionConfig config_of(bool global) {
  VisionConfig config;
  config.hidden_size = 8;
  config.intermediate_size = 12;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 2;
  config.patch_size = 2;
  config.image_size = 6;
  config.patch_bias = false;
  config.pre_layernorm = true;
  config.post_layernorm = false;
  config.position_grid = {4, 4};
  config.position_resize = PositionResize::kBicubic;
  config.windows.window = 3;
  config.windows.grid = {6, 9};
  config.windows.global_view = global;
  config.windows.adapter_blocks = {1, 3, 7};  // the last stands before no block
  config.windows.adapter_widths = {4, 6, 4};
  config.windows.adapter_heads = {2, 3, 1};
  return config;
}

/// Window (i, j) of a picture [N, C, height, width].
at::Tensor window_of(const at::Tensor& picture, int64_t i, int64_t j, int64_t side) {
  return picture.slice(2, i * side, (i + 1) * side).slice(3, j * side, (j + 1) * side);
}

TEST(TextMonkeyTower, RunsAdaptersOverTheWindowsBeforeTheirBlocks) {
  for (const bool global : {true, false}) {
    const VisionConfig config = config_of(global);
    TextMonkeyTower tower(config);
    test::randomize(tower, 1, at::kDouble);
    const auto parts = tower.named_modules("", false);
    const auto& trunk = dynamic_cast<const VisionTransformer&>(*parts["trunk"]);
    const at::Tensor picture = normal({2, 3, 12, 18}, at::kDouble, 2);
    nn::RunContext context;
    const nn::VisualFeatures got = tower.forward(picture, context);
    EXPECT_EQ(got.grid, (image::Grid{(global ? 7 : 6) * 3, 3}));

    // One window at a time; between blocks the map is put together patch by patch.
    std::vector<at::Tensor> views;
    for (int64_t i = 0; i < 2; ++i) {
      for (int64_t j = 0; j < 3; ++j) views.push_back(trunk.embed(window_of(picture, i, j, 6), context));
    }
    if (global) views.push_back(trunk.embed(tower.global_pixels(picture), context));
    for (int64_t block = 0; block < 4; ++block) {
      if (block == 1 || block == 3) {
        const auto& adapter = dynamic_cast<const WindowAdapter&>(*parts[block == 1 ? "adapters.0" : "adapters.1"]);
        at::Tensor map = at::zeros({2, 6, 9, 8}, at::kDouble);
        for (int64_t r = 0; r < 6; ++r) {
          for (int64_t c = 0; c < 9; ++c) {
            map.select(1, r).select(1, c).copy_(views[static_cast<size_t>(r / 3 * 3 + c / 3)].select(1, r % 3 * 3 + c % 3));
          }
        }
        map = adapter.forward(map.reshape({2, 54, 8})).view({2, 6, 9, 8});
        for (int64_t v = 0; v < 6; ++v) {
          views[static_cast<size_t>(v)] =
              map.slice(1, v / 3 * 3, v / 3 * 3 + 3).slice(2, v % 3 * 3, v % 3 * 3 + 3).reshape({2, 9, 8});
        }
      }
      for (at::Tensor& view : views) {
        view = trunk.run_blocks(view.reshape({18, 8}), 2, block, block + 1, context).view({2, 9, 8});
      }
    }
    EXPECT_TRUE(agree(got.maps, at::cat(views, 1), 1e-12));
  }
}

TEST(TextMonkeyTower, ItsGlobalViewIsTheShrunkPicture) {
  TextMonkeyTower tower(config_of(true));
  const at::Tensor picture = normal({1, 3, 12, 18}, at::kFloat, 2);
  EXPECT_TRUE(at::equal(tower.global_pixels(picture), at::upsample_bicubic2d(picture, {6, 6}, false)));
}

TEST(TextMonkeyTower, CheckpointingGivesTheSameGradients) {
  TextMonkeyTower tower(config_of(true));
  test::randomize(tower, 8, at::kDouble);
  const at::Tensor picture = normal({1, 3, 12, 18}, at::kDouble, 1);
  const auto plain = test::tower_gradients(tower, picture, false), kept = test::tower_gradients(tower, picture, true);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(agree(kept[i], plain[i], 1e-10)) << i;
}

TEST(TextMonkeyTower, CostCountsItsParametersAndEachPicture) {
  const TextMonkeyTower tower(config_of(true));
  Workload work;
  EXPECT_EQ(tower.cost(work).parameters, nn::count_parameters(tower));
  work.tiles = {{12, 18}};
  const Cost one = tower.cost(work);
  EXPECT_EQ(one.parameters, nn::count_parameters(tower));
  work.tiles = {{12, 18}, {12, 18}};
  work.batch = 2;
  const Cost four = tower.cost(work);
  EXPECT_EQ(four.parameters, one.parameters);
  EXPECT_NEAR(four.flops, 4 * one.flops, 1e-6 * four.flops);
}

TEST(TextMonkeyTower, NamesPicturesAndSettingsThatDoNotFit) {
  const TextMonkeyTower tower(config_of(true));
  EXPECT_EQ(error_of([&] { (void)tower.grid(12, 12); }), "vision tower: a picture of 12 x 12 pixels, expected 18 x 12");
  VisionConfig config = config_of(true);
  config.windows.grid = {6, 8};
  EXPECT_EQ(error_of([&] { const TextMonkeyTower none(config); }),
            "vision tower: a picture of 6 x 8 patches is not cut into windows of 3");
  config = config_of(true);
  config.windows.adapter_heads.pop_back();
  EXPECT_EQ(error_of([&] { const TextMonkeyTower none(config); }),
            "vision tower: 3 adapters by their blocks, 3 by their widths, 2 by their heads");
}

TEST(TextMonkeyTower, ItsSettingsAreReadBack) {
  const Json json = config_of(false).to_json();
  EXPECT_EQ(VisionConfig::from_json(JsonView(json, "c")).to_json(), json);
  EXPECT_EQ(json["adapter_widths"], (Json{4, 6, 4}));
}

}  // namespace
}  // namespace ocelli::vision
