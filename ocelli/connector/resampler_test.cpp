#include "ocelli/connector/resampler.h"

#include <ATen/ATen.h>

#include "ocelli/base/test_support.h"
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

/// Attention by the definition, one head at a time. query: [Q, D]; key, value: [P, D].
at::Tensor plain_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t heads) {
  std::vector<at::Tensor> out;
  const int64_t width = query.size(1) / heads;
  for (int64_t h = 0; h < heads; ++h) {
    const auto part = [&](const at::Tensor& x) { return x.slice(1, h * width, (h + 1) * width); };
    const at::Tensor scores = at::matmul(part(query), part(key).t()) / std::sqrt(static_cast<double>(width));
    out.push_back(at::matmul(at::softmax(scores, 1), part(value)));
  }
  return at::cat(out, 1);
}

/// The formula of the header, tile by tile.
at::Tensor plain_resampler(const Resampler& module, const ResamplerConfig& config, const at::Tensor& maps, image::Grid grid) {
  const auto p = module.named_parameters();
  const at::Tensor pos = module.named_buffers()["pos_embed"];
  const int64_t width = config.output_width;
  const auto norm = [&](const at::Tensor& x, const std::string& name) {
    return at::layer_norm(x, {width}, p[name + ".weight"], p[name + ".bias"], config.layer_norm_eps);
  };
  const auto linear = [&](const at::Tensor& x, const std::string& name) {
    return at::linear(x, p[name + ".weight"], p.contains(name + ".bias") ? p[name + ".bias"] : at::Tensor());
  };
  std::vector<at::Tensor> out;
  for (const at::Tensor& map : maps.unbind(0)) {
    const at::Tensor x = norm(config.input_width == width ? map : linear(map, "kv_proj"), "ln_kv");
    const at::Tensor q = norm(p["query"], "ln_q") + pos;
    const at::Tensor k = x + module.key_positions(grid);
    const at::Tensor mixed =
        linear(plain_attention(linear(q, "attn.q_proj"), linear(k, "attn.k_proj"), linear(x, "attn.v_proj"), config.num_heads),
               "attn.out_proj");
    out.push_back(config.post_projection ? linear(norm(mixed, "ln_post"), "proj") : mixed);
  }
  return at::stack(out);
}

TEST(Resampler, IsOneLayerOfCrossAttention) {
  for (const bool post : {true, false}) {
    for (const bool adaptive : {true, false}) {
      for (const int64_t input : {10, 16}) {
        const ResamplerConfig config{.input_width = input,
                                     .output_width = 16,
                                     .num_queries = 9,
                                     .num_heads = 4,
                                     .adaptive_positions = adaptive,
                                     .post_projection = post};
        Resampler module(config);
        test::randomize(module, 1, at::kDouble);
        const at::Tensor maps = normal({3, 5 * 2, input}, at::kDouble, 2);
        EXPECT_TRUE(agree(forward(module, maps, {5, 2}), plain_resampler(module, config, maps, {5, 2}), 1e-12));
      }
    }
  }
}

TEST(Resampler, KeyPositionsAreResizedOrComputed) {
  ResamplerConfig config{.input_width = 8, .output_width = 16, .num_queries = 9, .num_heads = 2};
  Resampler stored(config);
  test::randomize(stored, 1, at::kDouble);
  const at::Tensor table = stored.named_buffers()["pos_embed"];
  EXPECT_TRUE(at::equal(stored.key_positions({3, 3}), table));
  EXPECT_TRUE(at::equal(stored.key_positions({4, 5}), nn::resize_position_table(table, {3, 3}, {4, 5}, false)));
  config.adaptive_positions = true;
  Resampler adaptive(config);
  test::randomize(adaptive, 1, at::kFloat);
  EXPECT_TRUE(at::equal(adaptive.key_positions({3, 3}), nn::sin_cos_table({3, 3}, 16)));
  EXPECT_TRUE(at::equal(adaptive.key_positions({2, 7}), nn::sin_cos_table({2, 7}, 16)));
}

TEST(Resampler, StartsFromTheSineAndCosineTable) {
  Resampler module({.input_width = 8, .output_width = 16, .num_queries = 9, .num_heads = 2});
  nn::initialize(module, 1);
  EXPECT_TRUE(at::equal(module.named_buffers()["pos_embed"], nn::sin_cos_table({3, 3}, 16)));
  EXPECT_FALSE(module.named_buffers()["pos_embed"].requires_grad());
  forward(module, normal({1, 4, 8}, at::kFloat, 1), {2, 2}).square().sum().backward();
  for (const auto& parameter : module.named_parameters()) EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
}

TEST(Resampler, GivesTheOriginalsNumbers) {
  struct System {
    const char* name;
    const char* prefix;
    bool adaptive;
  };
  int count = 0;
  for (const System& system :
       {System{"qwen-vl", "transformer.visual.", false}, {"minicpm-v-1", "", false}, {"minicpm-v-2", "", true}}) {
    for (const auto& folder : test::golden_cases(system.name)) {
      const auto expected = open_safetensors(folder / "expected.safetensors");
      const auto weights = open_model_weights(folder / "model");
      const std::string prefix = system.prefix;
      const std::string inner = prefix + (prefix.empty() ? "resampler." : "attn_pool."),
                        outer = prefix.empty() ? "resampler." : prefix;
      const at::Tensor query = read(*weights, inner + "query"), key = read(*weights, inner + "kv_proj.weight");
      Resampler module({.input_width = key.size(1),
                        .output_width = key.size(0),
                        .num_queries = query.size(0),
                        .adaptive_positions = system.adaptive});
      nn::for_each_parameter(module, [&](const std::string& name, const nn::Parameter& parameter) {
        at::Tensor value;
        if (name.starts_with("attn.") && !name.starts_with("attn.out_proj")) {
          const bool bias = name.ends_with("bias");
          const int64_t third = name[5] == 'q' ? 0 : name[5] == 'k' ? 1 : 2;
          value = read(*weights, inner + (bias ? "attn.in_proj_bias" : "attn.in_proj_weight"))
                      .chunk(3)[static_cast<size_t>(third)]
                      .clone();
        } else if (name == "proj.weight") {
          value = read(*weights, outer + "proj").t().contiguous();
        } else {
          value = read(*weights, (name.starts_with("ln_post") ? outer : inner) + name);
        }
        nn::fill(name, parameter, value);
      });
      std::vector<at::Tensor> tokens;
      if (expected->find("tower_features") != nullptr) {
        const at::Tensor maps = read(*expected, "tower_features");
        tokens.push_back(forward(module, maps, nn::square_grid(maps.size(1), "features")).flatten(0, 1));
      } else {
        const at::Tensor grids = read(*expected, "tgt_sizes");
        for (int64_t i = 0; i < grids.size(0); ++i) {
          const image::Grid grid{grids[i][0].item<int64_t>(), grids[i][1].item<int64_t>()};
          tokens.push_back(forward(module, read(*expected, "tower_features_" + std::to_string(i)).unsqueeze(0), grid).squeeze(0));
        }
      }
      EXPECT_TRUE(agree(at::cat(tokens), read(*expected, "visual_tokens"), 1e-5)) << folder;
      ++count;
    }
  }
  if (count == 0) GTEST_SKIP() << "no golden cases";
}

TEST(Resampler, CountsTokensParametersAndFlops) {
  // The published sizes.
  const ResamplerConfig qwen{.input_width = 1024, .output_width = 4096, .num_queries = 256};
  const Resampler large(qwen);
  EXPECT_EQ(nn::count_parameters(large), 89'169'920);
  const Cost cost = large.cost({32, 32}, 1, {});
  EXPECT_EQ(cost.parameters, 89'169'920);
  const double keys = 1024, queries = 256, width = 4096;
  const double products =
      2 * keys * 1024 * width + 4 * keys * width * width + 6 * queries * width * width + 4 * queries * keys * width;
  EXPECT_GE(cost.flops, products);
  EXPECT_LE(cost.flops, 1.01 * products);
  EXPECT_EQ(large.num_tokens({32, 32}), 256);
  const Resampler small({.input_width = 1024, .output_width = 4096, .num_queries = 64});
  EXPECT_EQ(nn::count_parameters(small), 88'383'488);
  // Without the projection of keys and the closing one.
  const Resampler bare({.input_width = 16, .output_width = 16, .num_queries = 4, .num_heads = 2, .post_projection = false});
  EXPECT_EQ(bare.cost({3, 3}, 2, {}).parameters, nn::count_parameters(bare));
}

TEST(Resampler, NamesWhatDoesNotFit) {
  const auto fault = [](const ResamplerConfig& config) { return error_of([&] { const Resampler module(config); }); };
  EXPECT_EQ(fault({.input_width = 8, .output_width = 10, .num_queries = 4, .num_heads = 2}),
            "resampler: output width 10 is no multiple of 4");
  EXPECT_EQ(fault({.input_width = 8, .output_width = 16, .num_queries = 5, .num_heads = 2}),
            "resampler.num_queries: 5 positions are not a square grid");
  EXPECT_EQ(fault({.input_width = 8, .output_width = 16, .num_queries = 4, .num_heads = 3}),
            "resampler: width 16 is no multiple of 3 heads");
  EXPECT_EQ(fault({.input_width = 8, .output_width = 16, .num_queries = 4}),
            "resampler: num_heads is 0, and width 16 has no 128 for a head");
  Resampler module({.input_width = 8, .output_width = 16, .num_queries = 4, .num_heads = 2});
  nn::initialize(module, 1);
  EXPECT_EQ(error_of([&] {
              forward(module, at::zeros({1, 5, 8}), {2, 2});
            }),
            "resampler: features of shape [1, 5, 8] for a grid of 2 x 2 and width 8");
}

}  // namespace
}  // namespace ocelli::connector
