#include "ocelli/connector/glu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::connector {
namespace {

using test::agree;
using test::error_of;
using test::normal;

ConnectorConfig glu(bool positions) {
  ConnectorConfig config;
  config.type = ConnectorConfig::Type::kGlu;
  config.hidden_width = 7;
  config.position_table = positions;
  config.num_patches = 6;
  config.set_widths(4, 5, 0);
  return config;
}

/// CogVLM's GLU by ATen's operations, with its two tokens.
at::Tensor plain(const torch::nn::Module& connector, at::Tensor x) {
  const auto named = connector.named_parameters();
  if (named.contains("pos_embed")) x = x + named["pos_embed"];
  x = at::linear(x, named["linear_proj.weight"]);
  x = at::gelu(at::layer_norm(x, {5}, named["norm1.weight"], named["norm1.bias"], 1e-5));
  x = at::silu(at::linear(x, named["mlp.gate_proj.weight"])) * at::linear(x, named["mlp.up_proj.weight"]);
  x = at::linear(x, named["mlp.down_proj.weight"]);
  const auto token = [&](const char* name) { return named[name].unsqueeze(0).expand({x.size(0), 1, 5}); };
  return at::cat({token("boi"), x, token("eoi")}, 1);
}

TEST(Glu, IsAGatedLayerBetweenTwoTokens) {
  for (const bool positions : {false, true}) {
    Glu connector(glu(positions));
    test::randomize(connector, 1, at::kDouble);
    nn::RunContext run;
    const at::Tensor maps = normal({3, 6, 4}, at::kDouble, 2);
    const at::Tensor tokens = connector.forward({maps, {2, 3}}, {run});
    EXPECT_TRUE(agree(tokens, plain(connector, maps), 1e-12)) << positions;
    EXPECT_EQ(tokens.size(1), connector.num_tokens({2, 3}));
    EXPECT_EQ(connector.token_grid({2, 3}), (image::Grid{1, 8}));
    EXPECT_EQ(connector.cost({2, 3}, 3, {}).parameters, nn::count_parameters(connector));
  }
}

TEST(Glu, SendsGradientsToItsTokensAndPositions) {
  Glu connector(glu(true));
  test::randomize(connector, 1, at::kDouble);
  nn::RunContext run;
  const at::Tensor maps = normal({2, 6, 4}, at::kDouble, 2), outer = normal({2, 8, 5}, at::kDouble, 3);
  connector.forward({maps, {2, 3}}, {run}).backward(outer);
  const std::vector<at::Tensor> ours = test::gradients_of(connector);
  test::clear_gradients(connector);
  plain(connector, maps).backward(outer);
  const std::vector<at::Tensor> expected = test::gradients_of(connector);
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(agree(ours[i], expected[i], 1e-12)) << i;
}

TEST(Glu, NamesPatchesItsTableHasNoPositionFor) {
  Glu connector(glu(true));
  nn::initialize(connector, 1);
  nn::RunContext run;
  EXPECT_EQ(error_of([&] {
              connector.forward({at::zeros({1, 4, 4}), {2, 2}}, {run});
            }),
            "glu: 4 patches for a table of 6 positions");
}

}  // namespace
}  // namespace ocelli::connector
