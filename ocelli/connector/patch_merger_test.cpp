#include "ocelli/connector/patch_merger.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/error.h"

namespace ocelli::connector {
namespace {

PatchMergerConfig small() {
  PatchMergerConfig config;
  config.input_width = 3;
  config.output_width = 12;
  return config;
}

TEST(PatchMerger, FoldsRowThenColumnThenChannel) {
  const at::InferenceMode inference;
  PatchMergerConfig config = small();
  config.norm = std::nullopt;
  config.num_layers = 1;
  config.bias = false;
  PatchMerger merger(config);
  nn::for_each_parameter(merger, [](const std::string& name, const nn::Parameter& parameter) {
    nn::fill(name, parameter, at::eye(parameter.shape[0]));
  });
  const image::Grid grid{4, 6};
  const at::Tensor maps = at::arange(2 * 24 * 3, at::kFloat).view({2, 24, 3});
  nn::RunContext run;
  const at::Tensor tokens = merger.forward({maps, grid}, {run});
  ASSERT_EQ(tokens.sizes(), (at::IntArrayRef{2, 6, 12}));
  const at::Tensor map = maps.view({2, 4, 6, 3});
  for (int64_t row = 0; row < 2; ++row) {
    for (int64_t column = 0; column < 3; ++column) {
      const at::Tensor block = map.slice(1, 2 * row, 2 * row + 2).slice(2, 2 * column, 2 * column + 2);
      EXPECT_TRUE(at::equal(tokens.select(1, row * 3 + column), block.reshape({2, 12})));
    }
  }
}

TEST(PatchMerger, CostCountsEveryParameter) {
  for (const int64_t layers : {1, 2}) {
    PatchMergerConfig config = small();
    config.num_layers = layers;
    const PatchMerger merger(config);
    EXPECT_EQ(merger.cost({4, 6}, 3, {}).parameters, nn::count_parameters(merger));
  }
}

TEST(PatchMerger, RefusesGridsThatDoNotFold) {
  const PatchMerger merger(small());
  EXPECT_THROW(merger.num_tokens({3, 4}), Error);
  EXPECT_EQ(merger.token_grid({4, 6}), (image::Grid{2, 3}));
}

}  // namespace
}  // namespace ocelli::connector
