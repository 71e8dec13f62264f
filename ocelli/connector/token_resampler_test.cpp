#include "ocelli/connector/token_resampler.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::connector {
namespace {

using test::agree;
using test::error_of;
using test::normal;

TEST(TokenResampler, SimilarityLooksAtLaterTokensOnly) {
  const at::Tensor tokens = normal({2, 7, 5}, at::kDouble, 1);
  const at::Tensor similarity = TokenResampler::similarity(tokens);
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t i = 0; i < 7; ++i) {
      double largest = -1;
      for (int64_t j = i + 1; j < 7; ++j) {
        const at::Tensor a = tokens[n][i], b = tokens[n][j];
        largest = std::max(largest, (a.dot(b) / (a.norm() * b.norm())).item<double>());
      }
      EXPECT_NEAR(similarity[n][i].item<double>(), largest, 1e-12);
    }
  }
  EXPECT_TRUE(at::isfinite(TokenResampler::similarity(at::zeros({1, 3, 4}))).all().item<bool>());
}

TEST(TokenResampler, KeepsTheLeastSimilarInTheirOrder) {
  const at::Tensor similarity = at::tensor({0.5, -1.0, 0.9, 0.5, 0.1, 0.5}, at::kDouble).unsqueeze(0);
  const auto kept = [&](int64_t count) { return TokenResampler::select(similarity, count)[0]; };
  EXPECT_TRUE(at::equal(kept(2), at::tensor({1, 4}, at::kLong)));
  EXPECT_TRUE(at::equal(kept(3), at::tensor({1, 4, 5}, at::kLong)));  // of equals the later
  EXPECT_TRUE(at::equal(kept(4), at::tensor({1, 3, 4, 5}, at::kLong)));
  EXPECT_TRUE(at::equal(kept(6), at::arange(6, at::kLong)));
}

TEST(TokenResampler, IsThePerceiverAttentionOfTheHeader) {
  const TokenResamplerConfig config{.width = 12, .inner_width = 6, .num_tokens = 4, .num_heads = 2, .head_dim = 5};
  TokenResampler module(config);
  test::randomize(module, 3, at::kDouble);
  const auto p = module.named_parameters();
  const at::Tensor tokens = normal({2, 9, 12}, at::kDouble, 4);
  const at::Tensor got = module.forward(tokens);
  const auto norm = [&](const at::Tensor& x, const std::string& name) {
    return at::layer_norm(x, {6}, p[name + ".weight"], p[name + ".bias"], 1e-5);
  };
  const auto linear = [&](const at::Tensor& x, const std::string& name) { return at::linear(x, p[name + ".weight"]); };
  for (int64_t n = 0; n < 2; ++n) {
    const at::Tensor kept = tokens[n].index_select(0, TokenResampler::select(TokenResampler::similarity(tokens), 4)[n]);
    const at::Tensor media = norm(linear(tokens[n], "downsample"), "norm_media");
    const at::Tensor latents = norm(linear(kept, "downsample"), "norm_latents");
    const at::Tensor seen = at::cat({media, latents});
    const at::Tensor q = linear(latents, "to_q"), k = linear(seen, "to_k"), v = linear(seen, "to_v");
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < 2; ++h) {
      const auto part = [&](const at::Tensor& x) { return x.slice(1, 5 * h, 5 * h + 5); };
      heads.push_back(at::matmul(at::softmax(at::matmul(part(q), part(k).t()) / std::sqrt(5.0), 1), part(v)));
    }
    const at::Tensor hidden = norm(linear(at::cat(heads, 1), "to_out"), "norm");
    EXPECT_TRUE(agree(got[n], kept + p["scale"] * linear(at::gelu(linear(hidden, "fc1")), "fc2"), 1e-12));
  }
}

TEST(TokenResampler, KeepsAllOfFewTokens) {
  TokenResampler module({.width = 8, .inner_width = 4, .num_tokens = 5, .num_heads = 2, .head_dim = 4});
  nn::initialize(module, 1);
  const at::Tensor tokens = normal({1, 3, 8}, at::kFloat, 1);
  // Fresh, it only selects.
  EXPECT_TRUE(at::equal(module.forward(tokens), tokens));
}

TEST(TokenResampler, CountsPublishedParameters) {
  const TokenResampler module({.width = 4096, .inner_width = 1024});
  EXPECT_EQ(nn::count_parameters(module), 13'637'633);
  EXPECT_EQ(module.cost(1024, 1, {}).parameters, 13'637'633);
  EXPECT_DOUBLE_EQ(module.cost(1024, 6, {}).flops, 2 * module.cost(1024, 3, {}).flops);
  EXPECT_EQ(error_of([] { const TokenResampler none({.width = 4, .inner_width = 4, .num_tokens = 0}); }),
            "token resampler: width 4, inner width 4, 0 tokens, 8 heads of 128: all must be positive");
}

}  // namespace
}  // namespace ocelli::connector
