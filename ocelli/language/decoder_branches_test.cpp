#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ocelli/base/test_support.h"
#include "ocelli/language/decoder.h"
#include "ocelli/nn/test_tensors.h"

// The branches some families alone have, each against a plain composition of ATen operations with the same weights.

namespace ocelli::language {
namespace {

using nn::AttentionLayout;
using test::agree;
using test::error_of;
using test::normal;

constexpr int64_t kWidth = 24, kHeads = 4, kKeyHeads = 2, kHeadWidth = 8;

DecoderConfig tiny() {
  DecoderConfig config;
  config.vocab_size = 50;
  config.hidden_size = kWidth;
  config.intermediate_size = 40;
  config.num_hidden_layers = 3;
  config.num_attention_heads = kHeads;
  config.num_key_value_heads = kKeyHeads;
  config.head_dim = kHeadWidth;
  config.rope.rotary_width = kHeadWidth;
  return config;
}

std::shared_ptr<Decoder> made(const DecoderConfig& config) {
  auto decoder = std::make_shared<Decoder>(config);
  test::randomize(*decoder, 17, at::kDouble);
  return decoder;
}

at::Tensor rows_of(int64_t rows, uint64_t seed) {
  return normal({rows, kWidth}, at::kDouble, seed);
}

DecoderInputs causal(const at::Tensor& embeds) {
  DecoderInputs inputs;
  inputs.embeds = embeds;
  inputs.positions = at::arange(embeds.size(0), at::kLong);
  inputs.layout = AttentionLayout::uniform(1, embeds.size(0), true);
  return inputs;
}

at::Tensor run(Decoder& decoder, const DecoderInputs& inputs) {
  nn::RunContext context;
  return decoder.forward(inputs, context);
}

/// The decoder written down once more, slowly: dense scores, row by row choices, no cache.
class Plain {
 public:
  explicit Plain(Decoder& decoder) : config_(decoder.config()), weights_(decoder.named_parameters()) {}

  at::Tensor forward(at::Tensor x, const at::Tensor& is_visual = {}, const at::Tensor& memory = {}) const {
    const int64_t rows = x.size(0);
    if (config_.learned_positions)
      x = x + weight("model.embed_positions").slice(0, config_.position_offset, config_.position_offset + rows);
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      const std::string block = "model.layers." + std::to_string(layer) + ".";
      const at::Tensor normed = norm(block + "input_layernorm", x);
      const at::Tensor attended = attention(block + "self_attn.", normed, layer, is_visual);
      if (config_.parallel_residual) {
        x = x + attended + mlp(block + "mlp.", normed);
        continue;
      }
      x = x + attended * config_.residual_scale;
      if (config_.cross_attention.num_heads > 0 && memory.defined()) {
        x = x + cross(block + "cross_attn.", norm(block + "post_cross_attention_layernorm", x), memory);
      }
      const at::Tensor second = norm(block + "post_attention_layernorm", x);
      at::Tensor out = mlp(block + "mlp.", second);
      if (is_visual.defined()) out = at::where(is_visual.unsqueeze(1), mlp(block + "visual_mlp.", second), out);
      x = x + out * config_.residual_scale;
    }
    return norm("model.norm", x) / config_.logits_divisor;
  }

 private:
  at::Tensor weight(const std::string& name) const { return weights_[name + ".weight"]; }
  at::Tensor linear(const std::string& name, const at::Tensor& x) const {
    const at::Tensor* bias = weights_.find(name + ".bias");
    return at::matmul(x, weight(name).t()) + (bias != nullptr ? *bias : at::zeros({1}, at::kDouble));
  }
  at::Tensor norm(const std::string& name, const at::Tensor& x) const {
    const at::Tensor centred = config_.norm == nn::NormKind::kLayer ? x - x.mean(-1, true) : x;
    const at::Tensor normed = centred / (centred.square().mean(-1, true) + config_.norm_eps).sqrt();
    if (config_.norm == nn::NormKind::kLayer) return normed * weight(name) + weights_[name + ".bias"];
    return normed * (config_.norm == nn::NormKind::kRmsPlusOne ? weight(name) + 1 : weight(name));
  }
  at::Tensor mlp(const std::string& name, const at::Tensor& x) const {
    if (!config_.gated_mlp) return linear(name + "fc2", at::relu(linear(name + "fc1", x)));
    return linear(name + "down_proj", at::silu(linear(name + "gate_proj", x)) * linear(name + "up_proj", x));
  }
  /// Pairs (e, e + R/2) of the first R numbers, one row after the other.
  at::Tensor rotated(const at::Tensor& x) const {
    at::Tensor out = x.clone();
    const int64_t half = config_.rope.rotary_width / 2;
    for (int64_t row = 0; row < x.size(0); ++row) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle =
            static_cast<double>(row) * std::pow(config_.rope.theta, -static_cast<double>(i) / static_cast<double>(half));
        const at::Tensor first = x.select(0, row).select(-1, i), second = x.select(0, row).select(-1, i + half);
        out.select(0, row).select(-1, i).copy_(first * std::cos(angle) - second * std::sin(angle));
        out.select(0, row).select(-1, i + half).copy_(second * std::cos(angle) + first * std::sin(angle));
      }
    }
    return out;
  }
  at::Tensor attention(const std::string& name, const at::Tensor& x, int64_t layer, const at::Tensor& is_visual) const {
    const auto project = [&](const std::string& part, const at::Tensor& rows) {
      at::Tensor out = linear(name + part, rows);
      if (is_visual.defined()) out = at::where(is_visual.unsqueeze(1), linear(name + "visual_expert." + part, rows), out);
      return out;
    };
    const int64_t rows = x.size(0);
    at::Tensor query = project("q_proj", x).view({rows, kHeads, kHeadWidth});
    at::Tensor key = project("k_proj", x).view({rows, kKeyHeads, kHeadWidth});
    const at::Tensor value = project("v_proj", x).view({rows, kKeyHeads, kHeadWidth});
    if (config_.rotates(layer)) {
      query = rotated(query);
      key = rotated(key);
    }
    at::Tensor out = at::zeros_like(query);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t first = config_.slides(layer) ? std::max<int64_t>(0, row + 1 - config_.sliding_window) : 0;
      double scale = 1 / std::sqrt(static_cast<double>(kHeadWidth));
      const auto limit = static_cast<double>(config_.log_n_length);
      if (limit > 0 && static_cast<double>(row) + 1 > limit) scale *= std::log(static_cast<double>(row) + 1) / std::log(limit);
      for (int64_t head = 0; head < kHeads; ++head) {
        const int64_t group = head / (kHeads / kKeyHeads);
        const at::Tensor keys = key.slice(0, first, row + 1).select(1, group),
                         values = value.slice(0, first, row + 1).select(1, group);
        const at::Tensor scores = at::softmax(at::matmul(keys, query[row][head]) * scale, 0);
        out.select(0, row).select(0, head).copy_(at::matmul(scores, values));
      }
    }
    return project("o_proj", out.flatten(1));
  }
  at::Tensor cross(const std::string& name, const at::Tensor& x, const at::Tensor& memory) const {
    const int64_t heads = config_.cross_attention.num_heads, width = config_.cross_attention.head_dim;
    const auto split = [&](const at::Tensor& rows) { return rows.view({rows.size(0), heads, width}).transpose(0, 1); };
    const at::Tensor query = split(linear(name + "q_proj", x)), key = split(linear(name + "k_proj", memory)),
                     value = split(linear(name + "v_proj", memory));
    const at::Tensor scores = at::softmax(at::matmul(query, key.transpose(1, 2)) / std::sqrt(static_cast<double>(width)), -1);
    return linear(name + "o_proj", at::matmul(scores, value).transpose(0, 1).flatten(1));
  }

  DecoderConfig config_;
  torch::OrderedDict<std::string, at::Tensor> weights_;
};

nn::KvCache cache_of(const DecoderConfig& config) {
  return nn::KvCache({.layers = config.num_hidden_layers,
                      .kv_heads = kKeyHeads,
                      .head_width = kHeadWidth,
                      .block_size = 4,
                      .blocks = 24,
                      .dtype = at::kDouble});
}

/// The rows of one sequence in steps of those sizes, through a cache.
struct Cached {
  Cached(Decoder& of, nn::KvCache& where) : decoder(of), cache(where), sequence(where.add_sequence()) {}

  at::Tensor add(const at::Tensor& rows, const at::Tensor& is_visual = {}, const at::Tensor& memory = {}) {
    DecoderInputs inputs;
    inputs.cache = &cache;
    inputs.embeds = rows;
    const int64_t begin = cache.length(sequence);
    inputs.positions = at::arange(begin, begin + rows.size(0), at::kLong);
    cache.reserve(sequence, rows.size(0));
    cache.add_spans(sequence, 0, rows.size(0), inputs.layout);
    inputs.cache_rows.push_back({sequence, 0, rows.size(0)});
    if (is_visual.defined()) inputs.visual_rows = is_visual.nonzero().flatten();
    inputs.memory = memory;
    if (memory.defined()) inputs.memory_layout.add({0, rows.size(0), 0, memory.size(0), false, 0});
    const at::NoGradGuard no_grad;
    return run(decoder, inputs);
  }

  Decoder& decoder;
  nn::KvCache& cache;
  int64_t sequence;
};

TEST(DecoderBranches, VisualExpertHasProjectionsAndMlpOfItsOwn) {
  DecoderConfig config = tiny();
  config.visual_expert = true;
  const auto decoder = made(config);
  const at::Tensor x = rows_of(9, 1);
  const at::Tensor is_visual = at::tensor({0, 1, 1, 0, 0, 1, 1, 1, 0}, at::kLong).to(at::kBool);
  const at::Tensor want = Plain(*decoder).forward(x, is_visual);
  DecoderInputs inputs = causal(x);
  inputs.visual_rows = is_visual.nonzero().flatten();
  EXPECT_TRUE(agree(run(*decoder, inputs), want, 1e-11));
  // The last block gives only the rows that are asked for, of both kinds.
  inputs.output_rows = at::tensor({0, 2, 7, 8}, at::kLong);
  EXPECT_TRUE(agree(run(*decoder, inputs), want.index_select(0, inputs.output_rows), 1e-11));
  // All rows of one kind.
  inputs = causal(x);
  EXPECT_TRUE(agree(run(*decoder, inputs), Plain(*decoder).forward(x), 1e-11));
  inputs.visual_rows = at::arange(9, at::kLong);
  EXPECT_TRUE(agree(run(*decoder, inputs), Plain(*decoder).forward(x, at::ones({9}, at::kBool)), 1e-11));
  nn::KvCache cache = cache_of(config);
  Cached cached(*decoder, cache);
  const at::Tensor first = cached.add(x.slice(0, 0, 6), is_visual.slice(0, 0, 6));
  const at::Tensor second = cached.add(x.slice(0, 6), is_visual.slice(0, 6));
  EXPECT_TRUE(agree(at::cat({first, second}), want, 1e-11));
}

TEST(DecoderBranches, CrossAttentionReadsTheMemoryAndKeepsIt) {
  DecoderConfig config = tiny();
  config.cross_attention = {.memory_width = 10, .num_heads = 3, .head_dim = 4};
  const auto decoder = made(config);
  const at::Tensor x = rows_of(8, 2), memory = normal({7, 10}, at::kDouble, 3), other = normal({5, 10}, at::kDouble, 4);
  const at::Tensor want = Plain(*decoder).forward(x, {}, memory);
  DecoderInputs inputs = causal(x);
  inputs.memory = memory;
  inputs.memory_layout.add({0, 8, 0, 7, false, 0});
  EXPECT_TRUE(agree(run(*decoder, inputs), want, 1e-11));
  inputs.output_rows = at::tensor({3, 7}, at::kLong);
  EXPECT_TRUE(agree(run(*decoder, inputs), want.index_select(0, inputs.output_rows), 1e-11));
  // Without a memory the branch adds nothing.
  EXPECT_TRUE(agree(run(*decoder, causal(x)), Plain(*decoder).forward(x), 1e-11));
  EXPECT_FALSE(agree(run(*decoder, causal(x)), want, 1e-3));

  // The memory comes with the first rows; two sequences keep one each, a third has none.
  nn::KvCache cache = cache_of(config);
  Cached one(*decoder, cache), two(*decoder, cache), none(*decoder, cache);
  const at::Tensor y = rows_of(8, 5);
  const at::Tensor first = one.add(x.slice(0, 0, 5), {}, memory), second = two.add(y.slice(0, 0, 6), {}, other);
  EXPECT_TRUE(agree(none.add(x), Plain(*decoder).forward(x), 1e-11));
  EXPECT_TRUE(agree(at::cat({first, one.add(x.slice(0, 5))}), want, 1e-11));
  EXPECT_TRUE(agree(at::cat({second, two.add(y.slice(0, 6))}), Plain(*decoder).forward(y, {}, other), 1e-11));
}

TEST(DecoderBranches, WindowsHoldOverCachedBlocks) {
  for (const int64_t window : {1, 3, 4, 6, 50}) {
    DecoderConfig config = tiny();
    config.sliding_window = window;
    const auto decoder = made(config);
    const at::Tensor x = rows_of(15, 6), want = Plain(*decoder).forward(x);
    EXPECT_TRUE(agree(run(*decoder, causal(x)), want, 1e-11)) << window;
    nn::KvCache cache = cache_of(config);
    Cached cached(*decoder, cache);
    std::vector<at::Tensor> got;
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 6}, {6, 7}, {7, 8}, {8, 9}, {9, 14}, {14, 15}}) {
      got.push_back(cached.add(x.slice(0, begin, end)));
    }
    EXPECT_TRUE(agree(at::cat(got), want, 1e-11)) << window;
  }
}

TEST(DecoderBranches, LayersDifferInWindowAndRotation) {
  DecoderConfig config = tiny();
  config.sliding_window = 3;
  config.sliding_layers = {true, false, true};
  config.rotary_layers = {true, false, true};
  config.rope.rotary_width = 4;
  const auto decoder = made(config);
  const at::Tensor x = rows_of(10, 7), want = Plain(*decoder).forward(x);
  DecoderInputs inputs = causal(x);
  EXPECT_TRUE(agree(run(*decoder, inputs), want, 1e-11));
  inputs.output_rows = at::tensor({1, 9}, at::kLong);  // the last layer has a window
  EXPECT_TRUE(agree(run(*decoder, inputs), want.index_select(0, inputs.output_rows), 1e-11));
  config.sliding_layers = {false, true, false};  // and here it has none
  const auto turned = made(config);
  EXPECT_TRUE(agree(run(*turned, inputs), Plain(*turned).forward(x).index_select(0, inputs.output_rows), 1e-11));
}

TEST(DecoderBranches, LogNScalesQueriesBeyondItsLength) {
  DecoderConfig config = tiny();
  config.log_n_length = 4;
  const auto decoder = made(config);
  const at::Tensor x = rows_of(11, 8), want = Plain(*decoder).forward(x);
  DecoderInputs inputs = causal(x);
  EXPECT_TRUE(agree(run(*decoder, inputs), want, 1e-11));
  inputs.output_rows = at::tensor({2, 10}, at::kLong);
  EXPECT_TRUE(agree(run(*decoder, inputs), want.index_select(0, inputs.output_rows), 1e-11));
  nn::KvCache cache = cache_of(config);
  Cached cached(*decoder, cache);
  EXPECT_TRUE(agree(at::cat({cached.add(x.slice(0, 0, 3)), cached.add(x.slice(0, 3))}), want, 1e-11));
}

TEST(DecoderBranches, ParallelResidualWithLayerNormAndBiases) {
  DecoderConfig config = tiny();
  config.norm = nn::NormKind::kLayer;
  config.norm_eps = 1e-5;
  config.parallel_residual = true;
  config.gated_mlp = false;
  config.hidden_act = nn::Activation::kRelu;
  config.qkv_bias = config.output_bias = config.mlp_bias = config.head_bias = true;
  config.rope.rotary_width = 6;
  const auto decoder = made(config);
  const at::Tensor x = rows_of(7, 9), want = Plain(*decoder).forward(x);
  DecoderInputs inputs = causal(x);
  EXPECT_TRUE(agree(run(*decoder, inputs), want, 1e-11));
  inputs.output_rows = at::tensor({6}, at::kLong);
  EXPECT_TRUE(agree(run(*decoder, inputs), want.slice(0, 6), 1e-11));
  EXPECT_TRUE(agree(decoder->head(want), at::matmul(want, decoder->head_weight().t()) + decoder->head_bias(), 1e-12));
  EXPECT_EQ(decoder->head_bias().numel(), 50);
}

TEST(DecoderBranches, LearnedPositionsEndWithTheirTable) {
  DecoderConfig config = tiny();
  config.rope.rotary_width = 0;
  config.learned_positions = true;
  config.position_offset = 2;
  config.max_position_embeddings = 8;
  const auto decoder = made(config);
  const at::Tensor x = rows_of(8, 10);
  EXPECT_TRUE(agree(run(*decoder, causal(x)), Plain(*decoder).forward(x), 1e-11));
  EXPECT_EQ(error_of([&] { run(*decoder, causal(rows_of(9, 11))); }),
            "decoder: position 8 is outside the table of 8 learned positions");
  DecoderInputs inputs = causal(x);
  inputs.positions = inputs.positions - 1;
  EXPECT_EQ(error_of([&] { run(*decoder, inputs); }), "decoder: position -1 is outside the table of 8 learned positions");
}

TEST(DecoderBranches, ScalesOfEmbeddingsBranchesAndLogits) {
  DecoderConfig config = tiny();
  config.norm = nn::NormKind::kRmsPlusOne;
  config.embedding_scale = std::sqrt(24.0);
  config.residual_scale = 0.3;
  config.logits_divisor = 4;
  const auto decoder = made(config);
  const at::Tensor ids = at::tensor({3, 0, 49, 7}, at::kLong);
  const at::Tensor table = decoder->named_parameters()["model.embed_tokens.weight"];
  const at::Tensor x = decoder->embed(ids);
  EXPECT_TRUE(agree(x, table.index_select(0, ids) * std::sqrt(24.0), 1e-13));
  EXPECT_TRUE(agree(run(*decoder, causal(x)), Plain(*decoder).forward(x), 1e-11));
  // In bf16 the factor is rounded first: 4.898979 becomes 4.90625.
  Decoder half(config);
  test::randomize(half, 17, at::kBFloat16);
  const at::Tensor rows = half.named_parameters()["model.embed_tokens.weight"].index_select(0, ids);
  EXPECT_TRUE(at::equal(half.embed(ids), (rows.to(at::kFloat) * 4.90625F).to(at::kBFloat16)));
}

}  // namespace
}  // namespace ocelli::language
