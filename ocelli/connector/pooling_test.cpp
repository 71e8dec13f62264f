// The connectors that average or convolve over the grid.
#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/test_support.h"
#include "ocelli/connector/average_pool.h"
#include "ocelli/connector/ldp.h"
#include "ocelli/connector/token_packer.h"
#include "ocelli/nn/position_table.h"
#include "ocelli/nn/test_goldens.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::connector {
namespace {

using test::agree;
using test::error_of;
using test::normal;
using test::read;

at::Tensor forward(Connector& connector, const at::Tensor& maps, image::Grid grid) {
  nn::RunContext run;
  return connector.forward({maps, grid}, {run});
}

TEST(AveragePool, AveragesThePatchesOfEachCell) {
  const image::Grid from{5, 7}, to{2, 3};
  const at::Tensor maps = normal({2, 35, 3}, at::kDouble, 1);
  const at::Tensor pooled = average_pool(maps, from, to);
  ASSERT_EQ(pooled.sizes(), (at::IntArrayRef{2, 6, 3}));
  for (int64_t i = 0; i < to.rows; ++i) {
    for (int64_t j = 0; j < to.columns; ++j) {
      at::Tensor sum = at::zeros({2, 3}, at::kDouble);
      int64_t count = 0;
      for (int64_t r = i * from.rows / to.rows; r < ((i + 1) * from.rows + to.rows - 1) / to.rows; ++r) {
        for (int64_t c = j * from.columns / to.columns; c < ((j + 1) * from.columns + to.columns - 1) / to.columns; ++c) {
          sum += maps.select(1, r * from.columns + c);
          ++count;
        }
      }
      EXPECT_TRUE(agree(pooled.select(1, i * to.columns + j), sum / static_cast<double>(count), 1e-12));
    }
  }
  EXPECT_EQ(error_of([&] { average_pool(maps, {5, 6}, to); }), "average pool: 35 patches do not fill a grid of 5 x 6");
}

TEST(AveragePool, ProjectsWhatItAveraged) {
  for (const int64_t layers : {1, 2}) {
    AveragePool module({.input_width = 3, .output_width = 5, .pooled = {2, 2}, .num_layers = layers});
    test::randomize(module, 1, at::kDouble);
    const auto p = module.named_parameters();
    const at::Tensor maps = normal({2, 16, 3}, at::kDouble, 1);
    at::Tensor want = at::linear(average_pool(maps, {4, 4}, {2, 2}), p["linear_1.weight"], p["linear_1.bias"]);
    if (layers == 2) want = at::linear(at::gelu(want), p["linear_2.weight"], p["linear_2.bias"]);
    EXPECT_TRUE(agree(forward(module, maps, {4, 4}), want, 1e-12));
    EXPECT_EQ(module.num_tokens({9, 9}), 4);
    EXPECT_EQ(module.cost({4, 4}, 3, {}).parameters, nn::count_parameters(module));
  }
  EXPECT_EQ(error_of([] { const AveragePool none({.input_width = 3, .output_width = 5, .num_layers = 3}); }),
            "average pool: num_layers is 3, expected 1 or 2");
}

TEST(Ldp, GivesTheOriginalsNumbers) {
  int count = 0;
  for (const std::string version : {"1", "2"}) {
    for (const auto& folder : test::golden_cases("mobilevlm-v" + version)) {
      const auto expected = open_safetensors(folder / "expected.safetensors");
      const auto weights = open_model_weights(folder / "model");
      const std::string prefix = "model.mm_projector.";
      const at::Tensor maps = read(*expected, "tower_features");
      const LdpConfig config{.input_width = maps.size(2), .output_width = read(*weights, "model.norm.weight").size(0)};
      std::shared_ptr<Connector> module;
      std::vector<std::pair<std::string, std::string>> names;
      if (version == "1") {
        module = std::make_shared<LdpV1>(config);
        names = {{"linear_1", "model.mlp.1"}, {"linear_2", "model.mlp.3"}};
        for (const std::string block : {"1", "2"}) {
          const std::string ours = "block_" + block + ".", theirs = "model.mb_block." + block + ".block.";
          names.insert(names.end(), {{ours + "depthwise", theirs + "0.0.weight"},
                                     {ours + "norm1", theirs + "0.1"},
                                     {ours + "squeeze", theirs + "1.fc1"},
                                     {ours + "excite", theirs + "1.fc2"},
                                     {ours + "pointwise", theirs + "2.0"},
                                     {ours + "norm2", theirs + "2.1"}});
        }
      } else {
        module = std::make_shared<LdpV2>(config);
        names = {{"linear_1", "mlp.mlp.0"},
                 {"linear_2", "mlp.mlp.2"},
                 {"peg_weight", "peg.peg.0.weight"},
                 {"peg_bias", "peg.peg.0.bias"}};
      }
      nn::for_each_parameter(*module, [&](const std::string& name, const nn::Parameter& parameter) {
        for (const auto& [ours, theirs] : names) {
          if (name != ours && !name.starts_with(ours + ".")) continue;
          nn::fill(name, parameter, read(*weights, prefix + theirs + name.substr(ours.size())).reshape(parameter.shape));
        }
      });
      const image::Grid grid = nn::square_grid(maps.size(1), "features");
      const at::Tensor tokens = forward(*module, maps, grid);
      EXPECT_TRUE(agree(tokens.flatten(0, 1), read(*expected, "visual_tokens"), 1e-5)) << folder;
      EXPECT_EQ(module->num_tokens(grid), tokens.size(1));
      ++count;
    }
  }
  if (count == 0) GTEST_SKIP() << "no golden cases";
}

/// One inverted residual, cell by cell. map: [rows, columns, D].
at::Tensor plain_block(const torch::OrderedDict<std::string, at::Tensor>& p, const std::string& name, const at::Tensor& map,
                       int64_t stride) {
  const int64_t rows = (map.size(0) + stride - 1) / stride, columns = (map.size(1) + stride - 1) / stride, width = map.size(2);
  const auto norm = [&](const at::Tensor& x, const char* part) {
    return at::layer_norm(x, {width}, p[name + part + ".weight"], p[name + part + ".bias"], 1e-5);
  };
  at::Tensor x = at::zeros({rows, columns, width}, map.options());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t a = -1; a <= 1; ++a) {
        for (int64_t b = -1; b <= 1; ++b) {
          const int64_t r = i * stride + a, c = j * stride + b;
          if (r < 0 || c < 0 || r >= map.size(0) || c >= map.size(1)) continue;
          x[i][j] += p[name + "depthwise"].select(1, 0).select(1, a + 1).select(1, b + 1) * map[r][c];
        }
      }
    }
  }
  x = norm(x, "norm1");
  x = x * at::clamp(x + 3, 0, 6) / 6;
  const at::Tensor mean = x.flatten(0, 1).mean({0});
  const at::Tensor squeezed = at::relu(at::linear(mean, p[name + "squeeze.weight"], p[name + "squeeze.bias"]));
  const at::Tensor gate = at::clamp(at::linear(squeezed, p[name + "excite.weight"], p[name + "excite.bias"]) / 6 + 0.5, 0, 1);
  x = norm(at::linear(x * gate, p[name + "pointwise.weight"]), "norm2");
  return stride == 1 ? map + x : x;
}

TEST(LdpV1, TakesGridsThatAreNotSquare) {
  LdpV1 module({.input_width = 5, .output_width = 12});
  test::randomize(module, 1, at::kDouble);
  const auto p = module.named_parameters();
  const at::Tensor maps = normal({2, 15, 5}, at::kDouble, 1);
  const at::Tensor got = forward(module, maps, {5, 3});
  for (int64_t n = 0; n < 2; ++n) {
    at::Tensor map = at::linear(at::gelu(at::linear(maps[n], p["linear_1.weight"], p["linear_1.bias"])), p["linear_2.weight"],
                                p["linear_2.bias"]);
    map = plain_block(p, "block_2.", plain_block(p, "block_1.", map.view({5, 3, 12}), 1), 2);
    EXPECT_TRUE(agree(got[n], map.reshape({6, 12}), 1e-12));
  }
  EXPECT_EQ(module.num_tokens({5, 3}), 6);
  EXPECT_EQ(module.num_tokens({24, 24}), 144);
  EXPECT_EQ(module.cost({5, 3}, 2, {}).parameters, nn::count_parameters(module));
}

TEST(LdpV2, CountsPublishedParametersAndFlops) {
  const LdpV2 module({.input_width = 1024, .output_width = 4096});
  EXPECT_EQ(nn::count_parameters(module), 21'020'672);
  const Cost cost = module.cost({24, 24}, 1, {});
  EXPECT_EQ(cost.parameters, 21'020'672);
  const double products = 2.0 * 576 * (1024 * 4096 + 4096.0 * 4096) + 18.0 * 144 * 4096;
  EXPECT_GE(cost.flops, products);
  EXPECT_LE(cost.flops, 1.01 * products);
  EXPECT_EQ(module.num_tokens({24, 24}), 144);
  LdpV2 small({.input_width = 3, .output_width = 8, .pooled = {2, 3}});
  nn::initialize(small, 1);
  EXPECT_EQ(forward(small, at::zeros({2, 20, 3}), {4, 5}).sizes(), (at::IntArrayRef{2, 6, 8}));
}

/// Region by region, by the paper's formulas.
TEST(TokenPacker, AttendsWithinEachRegion) {
  const int64_t r = 2, levels = 3, width = 8, heads = 2, rows = 4, columns = 6;
  TokenPacker module({.input_width = levels * width, .output_width = 10, .num_levels = levels, .scale = r, .num_heads = heads});
  test::randomize(module, 1, at::kDouble);
  const auto p = module.named_parameters();
  const at::Tensor maps = normal({2, rows * columns, levels * width}, at::kDouble, 1);
  const at::Tensor got = forward(module, maps, {rows, columns});
  ASSERT_EQ(got.sizes(), (at::IntArrayRef{2, 6, 10}));
  const auto linear = [&](const at::Tensor& x, const std::string& name) {
    return at::linear(x, p[name + ".weight"], p.contains(name + ".bias") ? p[name + ".bias"] : at::Tensor());
  };
  const auto norm = [&](const at::Tensor& x, const std::string& name) {
    return at::layer_norm(x, {width}, p[name + ".weight"], p[name + ".bias"], 1e-6);
  };
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t i = 0; i < rows / r; ++i) {
      for (int64_t j = 0; j < columns / r; ++j) {
        std::vector<at::Tensor> patches;
        for (int64_t a = 0; a < r; ++a) {
          for (int64_t b = 0; b < r; ++b) patches.push_back(maps[n][(i * r + a) * columns + j * r + b]);
        }
        const at::Tensor region = at::stack(patches);  // [r * r, levels * D]
        // Bilinear at half size takes the middle of four.
        const at::Tensor coarse = region.slice(1, (levels - 1) * width).mean({0}, true);
        const at::Tensor q = linear(norm(linear(coarse, "q_proj"), "ln_q"), "attn_q");
        const at::Tensor k = linear(norm(linear(at::gelu(linear(region, "key_1")), "key_2"), "ln_k"), "attn_k");
        const at::Tensor v = linear(norm(linear(at::gelu(linear(region, "value_1")), "value_2"), "ln_v"), "attn_v");
        std::vector<at::Tensor> mixed;
        for (int64_t h = 0; h < heads; ++h) {
          const auto part = [&](const at::Tensor& x) { return x.slice(1, 4 * h, 4 * h + 4); };
          mixed.push_back(at::matmul(at::softmax(at::matmul(part(q), part(k).t()) / 2.0, 1), part(v)));
        }
        const at::Tensor want = linear(at::gelu(linear(linear(at::cat(mixed, 1), "attn_out"), "linear_1")), "linear_2");
        EXPECT_TRUE(agree(got[n][i * (columns / r) + j], want[0], 1e-12)) << i << " " << j;
      }
    }
  }
  EXPECT_EQ(module.cost({rows, columns}, 2, {}).parameters, nn::count_parameters(module));
}

TEST(TokenPacker, NamesGridsAndWidthsThatDoNotDivide) {
  const TokenPacker module({.input_width = 512, .output_width = 8, .num_levels = 4, .scale = 3});
  EXPECT_EQ(module.num_tokens({24, 24}), 64);
  EXPECT_EQ(error_of([&] { (void)module.num_tokens({24, 25}); }), "token_packer: grid 24 x 25 is no multiple of 3");
  EXPECT_EQ(error_of([] { const TokenPacker none({.input_width = 10, .output_width = 8}); }),
            "token_packer: width 10 is no multiple of 4 levels");
  EXPECT_EQ(error_of([] { const TokenPacker none({.input_width = 64, .output_width = 8}); }),
            "token_packer: a level's width 16 is no multiple of 0 heads");
}

}  // namespace
}  // namespace ocelli::connector
