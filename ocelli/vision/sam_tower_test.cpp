// SAM's tower, its attention with relative positions, and their costs.
#include "ocelli/vision/sam_tower.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"
#include "ocelli/vision/relative_attention.h"
#include "ocelli/vision/test_towers.h"

namespace ocelli::vision {
namespace {

using test::agree;
using test::error_of;
using test::normal;

using Named = torch::OrderedDict<std::string, at::Tensor>;

at::Tensor linear(const Named& named, const std::string& name, const at::Tensor& x) {
  const at::Tensor* bias = named.find(name + ".bias");
  return at::linear(x, named[name + ".weight"], bias == nullptr ? at::Tensor() : *bias);
}

at::Tensor norm(const Named& named, const std::string& name, const at::Tensor& x) {
  return at::layer_norm(x, {x.size(-1)}, named[name + ".weight"], named[name + ".bias"], 1e-6);
}

/// The bias [rows * columns, rows * columns] of one query head [rows * columns, E], entry by entry.
at::Tensor plain_bias(const at::Tensor& query, const at::Tensor& by_row, const at::Tensor& by_column, int64_t rows,
                      int64_t columns) {
  std::vector<at::Tensor> all;
  for (int64_t i = 0; i < rows * columns; ++i) {
    std::vector<at::Tensor> terms;
    for (int64_t j = 0; j < rows * columns; ++j) {
      terms.push_back(by_row[i / columns - j / columns + rows - 1] + by_column[i % columns - j % columns + columns - 1]);
    }
    all.push_back(at::stack(terms).matmul(query[i]));
  }
  return at::stack(all);
}

TEST(RelativeAttention, AddsBothTermsToEveryScore) {
  const int64_t rows = 3, columns = 4, width = 5;
  std::vector<at::Tensor> leaves = {normal({2, 12, width}, at::kDouble, 1), normal({2, 12, width}, at::kDouble, 2),
                                    normal({2, 12, width}, at::kDouble, 3), normal({2 * rows - 1, width}, at::kDouble, 4),
                                    normal({2 * columns - 1, width}, at::kDouble, 5)};
  std::vector<at::Tensor> plain;
  for (at::Tensor& leaf : leaves) plain.push_back(leaf.clone().requires_grad_(true));
  for (at::Tensor& leaf : leaves) leaf.requires_grad_(true);
  const at::Tensor got = relative_attention(leaves[0], leaves[1], leaves[2], leaves[3], leaves[4], {rows, columns}, 0.3);
  std::vector<at::Tensor> heads;
  for (int64_t g = 0; g < 2; ++g) {
    const at::Tensor scores =
        plain[0][g].matmul(plain[1][g].t()) * 0.3 + plain_bias(plain[0][g], plain[3], plain[4], rows, columns);
    heads.push_back(at::softmax(scores, -1).matmul(plain[2][g]));
  }
  const at::Tensor expected = at::stack(heads);
  EXPECT_TRUE(agree(got, expected, 1e-12));
  const at::Tensor outer = normal(got.sizes(), at::kDouble, 6);
  got.backward(outer);
  expected.backward(outer);
  for (size_t i = 0; i < leaves.size(); ++i) EXPECT_TRUE(agree(leaves[i].grad(), plain[i].grad(), 1e-11)) << i;
}

/// Blocks of whole windows, and blocks of one window's rows, with their gradients.
TEST(RelativeAttention, IsTheSameInBlocks) {
  for (const auto& sizes : {std::pair<int64_t, int64_t>{60, 14}, {2, 38}}) {
    const int64_t groups = sizes.first, side = sizes.second;
    SCOPED_TRACE(fmt::format("{} windows of {}", groups, side));
    const int64_t length = side * side, width = 2;
    const at::Tensor whole = normal({3, groups, length, width}, at::kDouble, 1).requires_grad_(true);
    const at::Tensor tables = normal({2, 2 * side - 1, width}, at::kDouble, 2).requires_grad_(true);
    const auto run = [&](int64_t first, int64_t last) {
      const auto part = [&](int64_t i) { return whole.select(0, i).slice(0, first, last); };
      return relative_attention(part(0), part(1), part(2), tables[0], tables[1], {side, side}, 1.0);
    };
    // One window is dense by definition here: scores of one row against all keys, taken apart.
    const at::Tensor got = run(0, groups);
    const at::Tensor index = at::arange(length, at::kLong);
    const at::Tensor row = at::floor_divide(index, side), column = index % side;
    const at::Tensor by_row = tables[0].index({row.unsqueeze(1) - row + side - 1});
    const at::Tensor by_column = tables[1].index({column.unsqueeze(1) - column + side - 1});
    const auto dense = [&](int64_t g) {
      const at::Tensor query = whole[0][g];
      const at::Tensor bias = ((by_row + by_column) * query.unsqueeze(1)).sum(-1);
      return at::softmax(query.matmul(whole[1][g].t()) + bias, -1).matmul(whole[2][g]);
    };
    for (const int64_t g : {int64_t{0}, groups / 2, groups - 1}) EXPECT_TRUE(agree(got[g], dense(g), 1e-11)) << g;
    const at::Tensor outer = normal({length, width}, at::kDouble, 3);
    const auto gradients = [&](const at::Tensor& out) {
      return torch::autograd::grad({out}, {whole, tables}, {outer}, /*retain_graph=*/true);
    };
    const auto ours = gradients(got[groups - 1]), plain = gradients(dense(groups - 1));
    EXPECT_TRUE(agree(ours[0], plain[0], 1e-10));
    EXPECT_TRUE(agree(ours[1], plain[1], 1e-10));
  }
}

SamConfig small() {
  SamConfig config;
  config.hidden_size = 12;
  config.mlp_dim = 20;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 3;
  config.image_size = 20;  // 5 x 5 patches: windows of 3 reach over the edge
  config.patch_size = 4;
  config.window_size = 3;
  config.global_attn_indexes = {1, 3, 9};
  config.output_channels = 6;
  return config;
}

SamConfig deepseek() {
  SamConfig config = small();
  config.downsample_channels = {8, 10};
  config.downsample_grid = 3;
  config.global_neck = true;
  return config;
}

/// One block by loops over windows: x [N, side, side, D].
at::Tensor plain_block(const SamConfig& config, const Named& named, const std::string& prefix, const at::Tensor& x,
                       int64_t window) {
  const int64_t side = x.size(1), heads = config.num_attention_heads, width = config.hidden_size / heads;
  const at::Tensor normed = norm(named, prefix + "layer_norm1", x);
  const int64_t n = (side + window - 1) / window;
  at::Tensor padded = at::zeros({x.size(0), n * window, n * window, x.size(3)}, x.options());
  padded.slice(1, 0, side).slice(2, 0, side).copy_(normed);
  at::Tensor mixed = at::zeros_like(padded);
  for (int64_t tile = 0; tile < x.size(0); ++tile) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const auto cut = [&](const at::Tensor& map) {
          return map[tile].slice(0, i * window, (i + 1) * window).slice(1, j * window, (j + 1) * window);
        };
        const at::Tensor qkv = linear(named, prefix + "attn.qkv", cut(padded)).reshape({window * window, 3, heads, width});
        std::vector<at::Tensor> out;
        for (int64_t head = 0; head < heads; ++head) {
          const at::Tensor query = qkv.select(1, 0).select(1, head);
          at::Tensor scores = query.matmul(qkv.select(1, 1).select(1, head).t()) / std::sqrt(static_cast<double>(width));
          if (config.use_rel_pos) {
            scores =
                scores + plain_bias(query, named[prefix + "attn.rel_pos_h"], named[prefix + "attn.rel_pos_w"], window, window);
          }
          out.push_back(at::softmax(scores, -1).matmul(qkv.select(1, 2).select(1, head)));
        }
        cut(mixed).copy_(linear(named, prefix + "attn.proj", at::cat(out, -1)).view({window, window, x.size(3)}));
      }
    }
  }
  const at::Tensor y = x + mixed.slice(1, 0, side).slice(2, 0, side);
  return y +
         linear(named, prefix + "mlp.fc2", at::gelu(linear(named, prefix + "mlp.fc1", norm(named, prefix + "layer_norm2", y))));
}

at::Tensor plain_sam(const SamConfig& config, const Named& named, const at::Tensor& pixels) {
  at::NoGradGuard no_grad;
  at::Tensor x = at::conv2d(pixels, named["patch_embed.projection.weight"], named["patch_embed.projection.bias"],
                            {config.patch_size, config.patch_size})
                     .permute({0, 2, 3, 1});
  if (config.use_abs_pos) x = x + named["pos_embed"];
  at::Tensor first_global;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const bool global = i == 1 || i == 3;
    x = plain_block(config, named, "layers." + std::to_string(i) + ".", x, global ? 5 : 3);
    if (i == 1) first_global = x;
  }
  const auto closed = [&](const std::string& neck, at::Tensor map) {
    const auto over_channels = [&](const std::string& name, const at::Tensor& m) {
      return norm(named, name, m.permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
    };
    map = over_channels(neck + ".layer_norm1", at::conv2d(map.permute({0, 3, 1, 2}), named[neck + ".conv1.weight"]));
    map = over_channels(neck + ".layer_norm2", at::conv2d(map, named[neck + ".conv2.weight"], {}, {1, 1}, {1, 1}));
    if (!config.downsample_channels.empty()) {
      map = at::upsample_bilinear2d(map, {12, 12}, false);
      for (const std::string conv : {"downsample.conv1.weight", "downsample.conv2.weight"}) {
        map = at::conv2d(map, named[conv], {}, {2, 2}, {1, 1});
      }
    }
    return map;
  };
  at::Tensor out = closed("neck", x);
  if (config.global_neck) out = out + closed("neck_hd", first_global) * named["alpha"];
  return out.flatten(2).transpose(1, 2);
}

TEST(SamTower, EqualsItsDefinition) {
  std::vector<SamConfig> configs = {small(), deepseek(), small()};
  configs[2].use_abs_pos = configs[2].use_rel_pos = configs[2].qkv_bias = false;
  for (const SamConfig& config : configs) {
    SamTower tower(config);
    test::randomize(tower, 3, at::kDouble);
    const at::Tensor pixels = normal({2, 3, 20, 20}, at::kDouble, 1);
    nn::RunContext context;
    const nn::VisualFeatures got = tower.forward(pixels, context);
    const at::Tensor expected = plain_sam(config, tower.named_parameters(), pixels);
    EXPECT_TRUE(agree(got.maps, expected, 1e-11));
    EXPECT_EQ(got.grid.count(), expected.size(1));
    EXPECT_EQ(got.grid, tower.grid(20, 20));
    EXPECT_EQ(tower.feature_width(), expected.size(2));
  }
}

TEST(SamTower, CheckpointingGivesTheSameGradients) {
  SamTower tower(deepseek());
  test::randomize(tower, 3, at::kDouble);
  const at::Tensor pixels = normal({1, 3, 20, 20}, at::kDouble, 1);
  const auto plain = test::tower_gradients(tower, pixels, false), kept = test::tower_gradients(tower, pixels, true);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_TRUE(agree(plain[i], kept[i], 1e-12)) << i;
    EXPECT_GT(plain[i].abs().max().item<double>(), 0) << i;
  }
}

TEST(SamTower, NamesPixelsOfAnotherSize) {
  SamTower tower(small());
  nn::initialize(tower, 1);
  nn::RunContext context;
  EXPECT_EQ(error_of([&] {
              tower.forward(at::zeros({1, 3, 20, 24}), context);
            }),
            "SAM tower: a tile of 24 x 20 pixels, expected 20 x 20");
}

TEST(SamTower, CostCountsParametersAndProducts) {
  for (const SamConfig& config : {small(), deepseek()}) {
    const SamTower tower(config);
    EXPECT_EQ(tower.cost({}).parameters, nn::count_parameters(tower));
    Workload work;
    work.tiles = {{20, 20}};
    const Cost one = tower.cost(work);
    EXPECT_EQ(one.parameters, nn::count_parameters(tower));
    // Windows of 3 on 5 x 5 patches are four, of 36 cells.
    const auto block = [](double rows, double window) { return 2 * rows * 4 * 144 + 4 * rows * window * 12 + 2 * 25 * 2 * 240; };
    const double products = 2 * block(36, 9) + 2 * block(25, 25) + 2 * 25 * 48 * 12 + 2 * 25 * (72 + 324);
    const double more = config.global_neck ? 2 * 25 * (72 + 324) + 2 * 2 * (36 * 54 * 8 + 9 * 72 * 10) : 0;
    EXPECT_GE(one.flops, products + more);
    EXPECT_LE(one.flops, 1.3 * (products + more));
    work.tiles = {{20, 20}, {20, 20}};
    work.batch = 3;
    EXPECT_DOUBLE_EQ(tower.cost(work).flops, 6 * one.flops);
    EXPECT_DOUBLE_EQ(tower.cost(work).weight_bytes, one.weight_bytes);
  }
}

TEST(SamConfig, ItsJsonSaysItAll) {
  for (const SamConfig& config : {small(), deepseek()}) {
    const Json json = config.to_json();
    EXPECT_EQ(SamConfig::from_json(JsonView(json, "c")).to_json(), json);
  }
  const SamConfig published = SamConfig::from_json(JsonView({{"model_type", "sam_vision_model"}}, "c"));
  EXPECT_EQ(published.to_json(), SamConfig().to_json());
  EXPECT_EQ(published.first_global_block(), 2);
}

TEST(SamConfig, NamesImpossibleValues) {
  const auto fault = [](const Json& changes) {
    Json json = small().to_json();
    json.update(changes);
    return error_of([&] { SamConfig::from_json(JsonView(json, "c.json")); });
  };
  EXPECT_EQ(fault({{"num_attention_heads", 5}}), "c.json: hidden_size 12 is no multiple of num_attention_heads 5");
  EXPECT_EQ(fault({{"global_attn_indexes", {0.5}}}), "c.json: global_attn_indexes[0] is 0.5, expected an integer");
  EXPECT_EQ(fault({{"image_size", 2048}}), "c.json: image_size 2048 is more than 256 patches of 4");
  EXPECT_EQ(fault({{"global_neck", true}, {"global_attn_indexes", {9}}}),
            "c.json: global_neck without a block of global_attn_indexes below 4");
  EXPECT_EQ(fault({{"downsample_channels", {2, 2}}, {"downsample_grid", 257}}),
            "c.json: downsample_grid 257 before 2 halvings is more than 1024");
}

}  // namespace
}  // namespace ocelli::vision
