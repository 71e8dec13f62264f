#include "ocelli/connector/window_resampler.h"

#include <ATen/ATen.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::connector {
namespace {

using test::agree;
using test::error_of;
using test::normal;

WindowResamplerConfig config_of(bool global, bool local) {
  WindowResamplerConfig config{.view = {.input_width = 6, .output_width = 8, .num_queries = 9, .num_heads = 2},
                               .num_windows = 4,
                               .global_view = global,
                               .local = std::nullopt};
  if (local) config.local = TokenResamplerConfig{.width = 8, .inner_width = 4, .num_tokens = 5, .num_heads = 2, .head_dim = 4};
  return config;
}

TEST(WindowResampler, JoinsWindowsAndPutsTheWholePictureLast) {
  for (const bool global : {true, false}) {
    for (const bool local : {true, false}) {
      const WindowResamplerConfig config = config_of(global, local);
      WindowResampler module(config);
      test::randomize(module, 1, at::kDouble);
      const auto inner = module.named_children();
      auto& resampler = dynamic_cast<Resampler&>(*inner["resampler"]);
      const int64_t views = global ? 5 : 4;
      const image::Grid grid{views * 3, 2};
      const at::Tensor maps = normal({2, grid.count(), 6}, at::kDouble, 2);
      nn::RunContext run;
      const at::Tensor got = module.forward({maps, grid}, {run});
      ASSERT_EQ(got.sizes(), (at::IntArrayRef{2, (local ? 5 : 36) + (global ? 9 : 0), 8}));
      EXPECT_EQ(module.num_tokens(grid), got.size(1));
      for (int64_t n = 0; n < 2; ++n) {
        std::vector<at::Tensor> views_of_picture;
        for (int64_t v = 0; v < views; ++v) {
          views_of_picture.push_back(resampler.forward({maps[n].slice(0, 6 * v, 6 * v + 6).unsqueeze(0), {3, 2}}, {run}));
        }
        at::Tensor want = at::cat(at::TensorList(views_of_picture).slice(0, 4), 1);
        if (local) want = dynamic_cast<const TokenResampler&>(*inner["token_resampler"]).forward(want);
        if (global) want = at::cat({want, views_of_picture[4]}, 1);
        EXPECT_TRUE(agree(got[n], want[0], 1e-12));
      }
      EXPECT_EQ(module.cost(grid, 2, {}).parameters, nn::count_parameters(module));
    }
  }
}

TEST(WindowResampler, NamesGridsWithoutWholeViews) {
  const WindowResampler module(config_of(true, true));
  EXPECT_EQ(error_of([&] {
              (void)module.num_tokens({12, 2});
            }),
            "window_resampler: grid 12 x 2 does not hold 5 views one below the other");
  // As published.
  const WindowResampler large(
      {.view = {.input_width = 1664, .output_width = 4096}, .local = TokenResamplerConfig{.width = 4096, .inner_width = 1024}});
  EXPECT_EQ(large.num_tokens({160, 32}), 768);
}

}  // namespace
}  // namespace ocelli::connector
