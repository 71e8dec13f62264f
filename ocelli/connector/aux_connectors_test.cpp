// Connectors that read a second tower: the hybrid projector and patch mining.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/connector/hybrid_projector.h"
#include "ocelli/connector/patch_mining.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::connector {
namespace {

using test::agree;
using test::error_of;
using test::normal;

at::Tensor linear(const torch::OrderedDict<std::string, at::Tensor>& named, const std::string& name, const at::Tensor& x) {
  return at::linear(x, named[name + ".weight"], named[name + ".bias"]);
}

at::Tensor forward(Connector& connector, const nn::VisualFeatures& features, const nn::VisualFeatures& aux) {
  nn::RunContext run;
  return connector.forward(features, {.run = run, .aux = &aux});
}

TEST(HybridProjector, PutsTheHalvesInTheirOrder) {
  for (const int64_t depth : {1, 2, 3}) {
    for (const bool aux_first : {true, false}) {
      HybridProjector projector({.input_width = 3, .aux_width = 5, .output_width = 8, .depth = depth, .aux_first = aux_first});
      test::randomize(projector, 1, at::kDouble);
      const auto named = projector.named_parameters();
      const at::Tensor maps = normal({2, 6, 3}, at::kDouble, 1), aux = normal({2, 6, 5}, at::kDouble, 2);
      const at::Tensor own = linear(named, "proj", maps), other = linear(named, "aux_proj", aux);
      at::Tensor expected = aux_first ? at::cat({other, own}, -1) : at::cat({own, other}, -1);
      if (depth > 1) expected = linear(named, "linear_2", at::gelu(expected));
      if (depth > 2) expected = linear(named, "linear_3", at::gelu(expected));
      EXPECT_TRUE(agree(forward(projector, {maps, {2, 3}}, {aux, {2, 3}}), expected, 1e-12)) << depth;
      EXPECT_EQ(projector.cost({2, 3}, 2, {}).parameters, nn::count_parameters(projector));
    }
  }
}

TEST(HybridProjector, NamesMapsThatDoNotMatch) {
  HybridProjector projector({.input_width = 3, .aux_width = 5, .output_width = 8});
  nn::initialize(projector, 1);
  EXPECT_EQ(error_of([&] {
              forward(projector, {at::zeros({1, 4, 3}), {2, 2}}, {at::zeros({1, 9, 5}), {3, 3}});
            }),
            "hybrid projector: 1 tiles of 4 patches beside 1 of 9 from the second tower, expected the same");
  nn::RunContext run;
  EXPECT_EQ(error_of([&] {
              projector.forward({at::zeros({1, 4, 3}), {2, 2}}, {run});
            }),
            "hybrid projector: there is no second tower");
  EXPECT_EQ(error_of([] { HybridProjector({.input_width = 3, .aux_width = 5, .output_width = 7}); }),
            "hybrid projector: output width 7 is odd, expected two halves");
}

PatchMiningConfig mining(int64_t grid, bool global) {
  return {.input_width = 4, .aux_width = 6, .output_width = 5, .image_grid = grid, .image_global = global, .mining_scale = 2};
}

at::Tensor projected(const torch::OrderedDict<std::string, at::Tensor>& named, const std::string& name, const at::Tensor& x) {
  return linear(named, name + ".linear",
                at::layer_norm(x, {x.size(-1)}, named[name + ".norm.weight"], named[name + ".norm.bias"], 1e-5));
}

/// One patch [D] over its cells, given one by one [cells, Da].
at::Tensor mined_patch(const torch::OrderedDict<std::string, at::Tensor>& named, const at::Tensor& patch,
                       const at::Tensor& cells) {
  const at::Tensor query = projected(named, "query_proj", patch);
  const at::Tensor weights = at::softmax(projected(named, "key_proj", cells).matmul(query) / 2.0, 0);  // sqrt(4)
  return patch + weights.matmul(projected(named, "value_proj", cells));
}

TEST(PatchMining, EachPatchReadsTheCellsItCovers) {
  PatchMining connector(mining(1, false));
  test::randomize(connector, 1, at::kDouble);
  const auto named = connector.named_parameters();
  const at::Tensor maps = normal({2, 6, 4}, at::kDouble, 1), aux = normal({2, 24, 6}, at::kDouble, 2);
  const at::Tensor got = connector.mine({maps, {2, 3}}, {aux, {4, 6}});
  for (int64_t picture = 0; picture < 2; ++picture) {
    for (int64_t row = 0; row < 2; ++row) {
      for (int64_t column = 0; column < 3; ++column) {
        std::vector<at::Tensor> cells;
        for (const int64_t i : {0, 1}) {
          for (const int64_t j : {0, 1}) cells.push_back(aux[picture][(2 * row + i) * 6 + 2 * column + j]);
        }
        const int64_t patch = row * 3 + column;
        EXPECT_TRUE(agree(got[picture][patch], mined_patch(named, maps[picture][patch], at::stack(cells)), 1e-12)) << patch;
      }
    }
  }
  const at::Tensor tokens = linear(named, "linear_2", at::gelu(linear(named, "linear_1", got)));
  EXPECT_TRUE(agree(forward(connector, {maps, {2, 3}}, {aux, {4, 6}}), tokens, 1e-12));
}

TEST(PatchMining, TilesReadTheirPartAndTheWholeComesFirst) {
  PatchMining whole(mining(1, false)), tiled(mining(2, true)), tiles_alone(mining(2, false));
  for (PatchMining* one : {&whole, &tiled, &tiles_alone}) test::randomize(*one, 1, at::kDouble);
  const at::Tensor maps = normal({5, 6, 4}, at::kDouble, 1), map = normal({1, 8, 12, 6}, at::kDouble, 2);
  const at::Tensor got = tiled.mine({maps, {2, 3}}, {map.view({1, 96, 6}), {8, 12}});
  ASSERT_EQ(got.sizes(), (at::IntArrayRef{5, 6, 4}));
  const auto alone = [&](int64_t view, const at::Tensor& part) {
    return whole.mine({maps.slice(0, view, view + 1), {2, 3}}, {part.reshape({1, 24, 6}), {4, 6}})[0];
  };
  // Halved bilinearly, each cell is the mean of four.
  EXPECT_TRUE(agree(got[0], alone(4, map.view({1, 4, 2, 6, 2, 6}).mean(at::IntArrayRef{2, 4})), 1e-12));
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      const at::Tensor part = map.slice(1, 4 * i, 4 * i + 4).slice(2, 6 * j, 6 * j + 6);
      EXPECT_TRUE(agree(got[1 + 2 * i + j], alone(2 * i + j, part), 1e-12)) << i << j;
    }
  }
  EXPECT_TRUE(at::equal(tiles_alone.mine({maps.slice(0, 0, 4), {2, 3}}, {map.view({1, 96, 6}), {8, 12}}), got.slice(0, 1)));
}

TEST(PatchMining, NamesCountsAndGridsThatDoNotMatch) {
  PatchMining connector(mining(2, true));
  nn::initialize(connector, 1);
  EXPECT_EQ(error_of([&] {
              connector.mine({at::zeros({4, 6, 4}), {2, 3}}, {at::zeros({1, 96, 6}), {8, 12}});
            }),
            "patch mining: 4 tiles beside 1 pictures of the second tower, expected 5 a picture");
  EXPECT_EQ(error_of([&] {
              connector.mine({at::zeros({5, 6, 4}), {2, 3}}, {at::zeros({1, 48, 6}), {4, 12}});
            }),
            "patch mining: the second tower's grid is 4 x 12, expected 8 x 12: 2 x 3 patches times 2 tiles times 2 cells");
}

TEST(PatchMining, CostCountsParametersAndProducts) {
  const PatchMining connector(mining(2, true));
  const Cost cost = connector.cost({2, 3}, 5, {});
  EXPECT_EQ(cost.parameters, nn::count_parameters(connector));
  const double rows = 30, cells = 120;
  const double products = 2 * rows * (16 + 20 + 25) + 2 * cells * 2 * 24 + 4 * cells * 4;
  EXPECT_GE(cost.flops, products);
  EXPECT_LE(cost.flops, 2 * products);
  EXPECT_DOUBLE_EQ(connector.cost({2, 3}, 10, {}).flops, 2 * cost.flops);
}

}  // namespace
}  // namespace ocelli::connector
