#include "ocelli/connector/connector.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/connector/arrange.h"
#include "ocelli/connector/mlp_connector.h"
#include "ocelli/connector/pixel_shuffle.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::connector {
namespace {

using test::agree;
using test::error_of;
using test::normal;

ConnectorConfig config_of(ConnectorConfig::Type type, int64_t scale = 2) {
  ConnectorConfig config;
  config.type = type;
  config.input_width = 3;
  config.output_width = 10;
  config.scale = scale;
  return config;
}

at::Tensor forward(Connector& connector, const at::Tensor& maps, image::Grid grid) {
  nn::RunContext run;
  return connector.forward({maps, grid}, {run});
}

TEST(PixelShuffle, KeepsRasterOrder) {
  for (const auto& [rows, columns, r] : {std::tuple<int64_t, int64_t, int64_t>{4, 6, 2}, {3, 6, 3}, {2, 5, 1}}) {
    ConnectorConfig config = config_of(ConnectorConfig::Type::kPixelShuffle, r);
    PixelShuffle shuffle(config);
    test::randomize(shuffle, 1, at::kDouble);
    const at::Tensor maps = normal({2, rows * columns, 3}, at::kDouble, 1);
    // Token (i, j) is patches (i r + a, j r + b), a before b before the channel.
    std::vector<at::Tensor> folded;
    for (int64_t i = 0; i < rows / r; ++i) {
      for (int64_t j = 0; j < columns / r; ++j) {
        std::vector<at::Tensor> patches;
        for (int64_t a = 0; a < r; ++a) {
          for (int64_t b = 0; b < r; ++b) patches.push_back(maps.select(1, (i * r + a) * columns + j * r + b));
        }
        folded.push_back(at::cat(patches, -1));
      }
    }
    const auto named = shuffle.named_parameters();
    const at::Tensor normed =
        at::layer_norm(at::stack(folded, 1), {3 * r * r}, named["layer_norm.weight"], named["layer_norm.bias"], 1e-5);
    const at::Tensor hidden = at::gelu(at::linear(normed, named["linear_1.weight"], named["linear_1.bias"]));
    const at::Tensor expected = at::linear(hidden, named["linear_2.weight"], named["linear_2.bias"]);
    EXPECT_TRUE(agree(forward(shuffle, maps, {rows, columns}), expected, 1e-12));
    EXPECT_EQ(shuffle.num_tokens({rows, columns}), expected.size(1));
  }
}

TEST(PixelShuffle, RefusesGridsThatDoNotDivide) {
  PixelShuffle shuffle(config_of(ConnectorConfig::Type::kPixelShuffle));
  nn::initialize(shuffle, 1);
  EXPECT_EQ(error_of([&] { (void)shuffle.num_tokens({27, 14}); }), "pixel_shuffle: grid 27 x 14 is no multiple of 2");
  EXPECT_EQ(error_of([&] { (void)shuffle.num_tokens({14, 27}); }), "pixel_shuffle: grid 14 x 27 is no multiple of 2");
  EXPECT_EQ(error_of([&] { forward(shuffle, at::zeros({1, 6, 3}), {3, 2}); }), "pixel_shuffle: grid 3 x 2 is no multiple of 2");
}

TEST(PixelShuffle, NamesFeaturesWithAClassToken) {
  PixelShuffle shuffle(config_of(ConnectorConfig::Type::kPixelShuffle));
  nn::initialize(shuffle, 1);
  EXPECT_EQ(error_of([&] {
              forward(shuffle, at::zeros({1, 5, 3}), {2, 2});
            }),
            "pixel_shuffle: 5 patches do not fill a grid of 2 x 2");
}

TEST(Connector, CountsTokensAndParametersOfEachKind) {
  using Type = ConnectorConfig::Type;
  for (const Type type : {Type::kLinear, Type::kMlp, Type::kPixelShuffle}) {
    for (const int64_t hidden : {0, 7}) {
      ConnectorConfig config = config_of(type);
      config.hidden_width = hidden;
      config.bias = hidden == 0;
      const auto connector = make_connector(config);
      nn::initialize(*connector, 1);
      const at::Tensor tokens = forward(*connector, at::zeros({3, 4 * 6, 3}), {4, 6});
      EXPECT_EQ(tokens.sizes(), (at::IntArrayRef{3, connector->num_tokens({4, 6}), 10}));
      EXPECT_EQ(connector->num_tokens({4, 6}), type == Type::kPixelShuffle ? 6 : 24);
      const Cost cost = connector->cost({4, 6}, 3, {});
      EXPECT_EQ(cost.parameters, nn::count_parameters(*connector));
      EXPECT_DOUBLE_EQ(connector->cost({4, 6}, 6, {}).flops, 2 * cost.flops);
      // Its JSON says it all.
      const Json json = config.to_json();
      EXPECT_EQ(ConnectorConfig::from_json(JsonView(json, "c"), 3, 10).to_json(), json);
    }
  }
}

TEST(MlpConnector, ActivatesBetweenItsProjections) {
  ConnectorConfig config = config_of(ConnectorConfig::Type::kMlp);
  config.activation = nn::Activation::kRelu;
  MlpConnector connector(config);
  test::randomize(connector, 2, at::kDouble);
  const auto named = connector.named_parameters();
  const at::Tensor maps = normal({2, 4, 3}, at::kDouble, 1);
  const at::Tensor expected = at::linear(at::relu(at::linear(maps, named["linear_1.weight"], named["linear_1.bias"])),
                                         named["linear_2.weight"], named["linear_2.bias"]);
  EXPECT_TRUE(agree(forward(connector, maps, {2, 2}), expected, 1e-12));
}

TEST(ConnectorConfig, NamesUnknownTypesAndScales) {
  const auto fault = [](const Json& json) {
    return error_of([&] { ConnectorConfig::from_json(JsonView(json, "c.json"), 3, 4); });
  };
  EXPECT_NE(fault({{"type", "q_former"}}).find("type is \"q_former\"; known are linear, mlp, normed_mlp, pixel_shuffle"),
            std::string::npos);
  EXPECT_EQ(fault({{"type", "pixel_shuffle"}, {"scale", 0}}), "c.json: scale is 0, expected 1 to 16");
  EXPECT_EQ(fault({{"type", "mlp"}, {"hidden_width", -1}}), "c.json: hidden_width is -1, expected 0 to 262144");
}

image::Tiling square(image::Grid tiles, image::Tiling::Overview overview, int64_t height, int64_t width) {
  const bool more = overview != image::Tiling::Overview::kNone;
  return {.tiles = tiles,
          .overview = overview,
          .tile_height = 8,
          .tile_width = 8,
          .overview_height = more ? 8 : 0,
          .overview_width = more ? 8 : 0,
          .picture_height = height,
          .picture_width = width};
}

VisualTokens joined(const Arrange& arrange, const at::Tensor& tiles, std::span<const image::Tiling> pictures, image::Grid grid) {
  const std::vector<image::Grid> grids(static_cast<size_t>(tiles.size(0)), grid);
  return arrange.forward(tiles.unbind(0), grids, pictures);
}

TEST(Arrange, LaysTilesBehindEachOther) {
  const at::Tensor tiles = normal({6, 5, 3}, at::kFloat, 1);
  const image::Tiling pictures[] = {square({1, 1}, image::Tiling::Overview::kNone, 8, 8),
                                    square({2, 2}, image::Tiling::Overview::kLast, 16, 16)};
  const Arrange arrange(ArrangeConfig{.width = 3});
  const VisualTokens tokens = joined(arrange, tiles, pictures, {1, 5});
  EXPECT_EQ(tokens.per_picture, (std::vector<int64_t>{5, 25}));
  EXPECT_TRUE(at::equal(tokens.tokens, tiles.reshape({30, 3})));
  EXPECT_EQ(error_of([&] {
              joined(arrange, tiles, std::span(pictures).subspan(1), {1, 5});
            }),
            "arrange: 1 pictures have 5 tiles, the connector gave 6");
}

TEST(Arrange, TakesPaddingOffAndEndsEachRowWithANewline) {
  // A picture of 16 x 8 pixels on a canvas of 2 x 2 tiles of 2 x 2 tokens: the outer columns are padding.
  Arrange arrange(ArrangeConfig{.kind = ArrangeConfig::Kind::kUnpadNewline, .width = 3});
  test::randomize(arrange, 5, at::kDouble);
  const at::Tensor newline = arrange.named_parameters()["image_newline"].unsqueeze(0);
  const at::Tensor views = normal({6, 4, 3}, at::kDouble, 1);
  const image::Tiling pictures[] = {square({2, 2}, image::Tiling::Overview::kFirst, 16, 8),
                                    square({1, 1}, image::Tiling::Overview::kNone, 8, 8)};
  const VisualTokens tokens = joined(arrange, views, pictures, {2, 2});
  EXPECT_EQ(tokens.per_picture, (std::vector<int64_t>{4 + 4 * 3, 4 + 1}));
  std::vector<at::Tensor> expected = {views[0]};
  for (int64_t row = 0; row < 4; ++row) {
    const int64_t above = row / 2 * 2, within = row % 2 * 2;  // tiles of that row of tiles, tokens of that row in a tile
    expected.push_back(at::stack({views[1 + above][within + 1], views[2 + above][within]}));
    expected.push_back(newline);
  }
  expected.push_back(views[5]);
  expected.push_back(newline);
  EXPECT_TRUE(at::equal(tokens.tokens, at::cat(expected)));
  const std::vector<int64_t> each(5, 4);
  EXPECT_EQ(arrange.num_tokens(pictures[0], each, {2, 2}), 16);
  EXPECT_EQ(arrange.num_tokens(pictures[1], std::vector<int64_t>{4}, {2, 2}), 5);
}

}  // namespace
}  // namespace ocelli::connector
