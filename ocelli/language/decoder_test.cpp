#include "ocelli/language/decoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::language {
namespace {

using nn::AttentionLayout;
using test::agree;
using test::error_of;
using test::normal;

DecoderConfig tiny(bool tied = false) {
  DecoderConfig config;
  config.vocab_size = 50;
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  config.tie_word_embeddings = tied;
  config.rope.rotary_width = 8;
  config.qkv_bias = config.output_bias = config.mlp_bias = tied;
  return config;
}

std::shared_ptr<Decoder> made(at::ScalarType dtype = at::kDouble, bool tied = false) {
  auto decoder = std::make_shared<Decoder>(tiny(tied));
  test::randomize(*decoder, 11, dtype);
  return decoder;
}

at::Tensor embeds_of(int64_t rows, uint64_t seed) {
  return normal({rows, 24}, at::kDouble, seed);
}

DecoderInputs causal(const at::Tensor& embeds) {
  DecoderInputs inputs;
  inputs.embeds = embeds;
  inputs.positions = at::arange(embeds.size(0), at::kLong);
  inputs.layout = AttentionLayout::uniform(1, embeds.size(0), true);
  return inputs;
}

at::Tensor run(Decoder& decoder, const DecoderInputs& inputs, bool checkpointing = false) {
  nn::RunContext context;
  context.gradient_checkpointing = checkpointing;
  return decoder.forward(inputs, context);
}

/// Two groups of independent continuations behind a shared prefix, laid end to end, and each of them as a sequence of its own.
struct Packed {
  struct Part {
    int64_t begin, end;   ///< rows of the continuation in the pack
    DecoderInputs alone;  ///< prefix and continuation
    int64_t prefix;       ///< rows of the prefix in `alone`
  };
  DecoderInputs inputs;
  std::vector<Part> parts;
};

Packed make_packed() {
  Packed out;
  std::vector<at::Tensor> rows;
  std::vector<int64_t> positions;
  int64_t row = 0;
  uint64_t seed = 0;
  const auto add = [&](const at::Tensor& more, int64_t first_position) {
    rows.push_back(more);
    for (int64_t i = 0; i < more.size(0); ++i) positions.push_back(first_position + i);
    row += more.size(0);
  };
  for (const auto& [length, continuations] : {std::pair<int64_t, std::vector<int64_t>>{5, {4, 1, 6}}, {2, {3, 3}}}) {
    const at::Tensor prefix = embeds_of(length, ++seed);
    const int64_t begin = row;
    out.inputs.layout.add({row, row + length, row, row + length, true, 0});
    add(prefix, 0);
    for (const int64_t count : continuations) {
      const at::Tensor own = embeds_of(count, ++seed);
      out.inputs.layout.add({row, row + count, begin, begin + length, false, 0});
      out.inputs.layout.add({row, row + count, row, row + count, true, 0});
      out.parts.push_back({row, row + count, causal(at::cat({prefix, own})), length});
      add(own, length);  // positions restart behind the prefix
    }
  }
  out.inputs.embeds = at::cat(rows);
  out.inputs.positions = at::tensor(positions, at::kLong);
  out.inputs.layout.validate(row, row);
  return out;
}

TEST(Packing, ContinuationsOfASharedPrefixEqualEachSequenceAlone) {
  const auto decoder = made();
  const Packed pack = make_packed();
  test::clear_gradients(*decoder);
  const at::Tensor hidden = run(*decoder, pack.inputs);
  std::vector<at::Tensor> outer;
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (size_t i = 0; i < pack.parts.size(); ++i) {
    const auto& part = pack.parts[i];
    outer.push_back(normal({part.end - part.begin, 24}, at::kDouble, 50 + i));
    loss = loss + (hidden.slice(0, part.begin, part.end) * outer.back()).sum();
  }
  loss.backward();
  const auto packed = test::gradients_of(*decoder);
  test::clear_gradients(*decoder);
  for (size_t i = 0; i < pack.parts.size(); ++i) {
    const auto& part = pack.parts[i];
    const at::Tensor alone = run(*decoder, part.alone).slice(0, part.prefix);
    EXPECT_TRUE(agree(hidden.slice(0, part.begin, part.end), alone, 1e-12)) << i;
    (alone * outer[i]).sum().backward();
  }
  const auto expected = test::gradients_of(*decoder);
  for (size_t i = 0; i < packed.size(); ++i)
    EXPECT_TRUE(agree(packed[i], expected[i], 1e-12)) << decoder->named_parameters().keys()[i];
}

TEST(Packing, NeverAttendsAcrossSamples) {
  const auto decoder = made();
  Packed pack = make_packed();
  const at::Tensor before = run(*decoder, pack.inputs);
  pack.inputs.embeds = pack.inputs.embeds.clone();
  pack.inputs.embeds.slice(0, pack.parts[1].begin, pack.parts[1].end).add_(1);
  const at::Tensor after = run(*decoder, pack.inputs);
  for (size_t i = 0; i < pack.parts.size(); ++i) {
    const auto rows = [&](const at::Tensor& x) { return x.slice(0, pack.parts[i].begin, pack.parts[i].end); };
    EXPECT_EQ(agree(rows(after), rows(before), 1e-12), i != 1) << i;
  }
}

TEST(Decoder, OutputRowsEqualThoseOfTheFullResult) {
  const auto decoder = made();
  Packed pack = make_packed();
  const at::Tensor rows = at::tensor({0, 4, 7, 8, 9, 12, 15, 16, 23}, at::kLong);
  const at::Tensor outer = normal({rows.numel(), 24}, at::kDouble, 5);
  const auto result = [&](bool narrowed) {
    test::clear_gradients(*decoder);
    pack.inputs.output_rows = narrowed ? rows : at::Tensor();
    at::Tensor hidden = run(*decoder, pack.inputs);
    if (!narrowed) hidden = hidden.index_select(0, rows);
    (hidden * outer).sum().backward();
    return std::pair{hidden.detach(), test::gradients_of(*decoder)};
  };
  const auto [full, full_gradients] = result(false);
  const auto [some, some_gradients] = result(true);
  EXPECT_TRUE(agree(some, full, 1e-12));
  for (size_t i = 0; i < some_gradients.size(); ++i) EXPECT_TRUE(agree(some_gradients[i], full_gradients[i], 1e-12)) << i;
}

TEST(Decoder, CheckpointingGivesTheSameGradients) {
  const auto decoder = made(at::kDouble, true);
  Packed pack = make_packed();
  pack.inputs.output_rows = at::tensor({3, 9, 14}, at::kLong);
  const auto gradients = [&](bool checkpointing, bool from_table) {
    test::clear_gradients(*decoder);
    DecoderInputs inputs = pack.inputs;
    if (from_table) inputs.embeds = decoder->embed(at::arange(inputs.embeds.size(0), at::kLong));
    decoder->head(run(*decoder, inputs, checkpointing)).square().sum().backward();
    return test::gradients_of(*decoder);
  };
  for (const bool from_table : {false, true}) {
    const auto plain = gradients(false, from_table), kept = gradients(true, from_table);
    for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(at::equal(plain[i], kept[i])) << i;
  }
}

TEST(Decoder, PositionsAreTheOnesGiven) {
  const auto decoder = made();
  DecoderInputs inputs = causal(embeds_of(6, 1));
  const at::Tensor hidden = run(*decoder, inputs);
  inputs.positions = inputs.positions + 40;  // rotary attention sees differences alone
  EXPECT_TRUE(agree(run(*decoder, inputs), hidden, 1e-10));
  inputs.positions = at::tensor({0, 1, 2, 7, 8, 9}, at::kLong);
  EXPECT_FALSE(agree(run(*decoder, inputs), hidden, 1e-3));
}

/// Rows of several sequences behind what the cache holds of them. `parts`: {sequence, rows}.
at::Tensor run_cached(Decoder& decoder, nn::KvCache& cache, const std::vector<std::pair<int64_t, at::Tensor>>& parts) {
  DecoderInputs inputs;
  inputs.cache = &cache;
  std::vector<at::Tensor> rows;
  std::vector<int64_t> positions;
  for (const auto& [sequence, more] : parts) {
    const int64_t begin = static_cast<int64_t>(positions.size()), end = begin + more.size(0);
    cache.reserve(sequence, more.size(0));
    cache.add_spans(sequence, begin, end, inputs.layout);
    inputs.cache_rows.push_back({sequence, begin, end});
    for (int64_t i = 0; i < more.size(0); ++i) positions.push_back(cache.length(sequence) + i);
    rows.push_back(more);
  }
  inputs.embeds = at::cat(rows);
  inputs.positions = at::tensor(positions, at::kLong);
  const at::NoGradGuard no_grad;
  return run(decoder, inputs);
}

TEST(Decoder, DecodingWithTheCacheEqualsOneFullPass) {
  const auto decoder = made();
  nn::KvCache cache({.layers = 3, .kv_heads = 2, .head_width = 8, .block_size = 4, .blocks = 30, .dtype = at::kDouble});
  const at::Tensor a = embeds_of(17, 1), b = embeds_of(11, 2), tail = embeds_of(6, 3);
  const int64_t first = cache.add_sequence(), second = cache.add_sequence();
  std::vector<at::Tensor> got_a, got_b;
  const auto step = [&](int64_t from_a, int64_t to_a, int64_t from_b, int64_t to_b) {
    const at::Tensor hidden =
        run_cached(*decoder, cache, {{first, a.slice(0, from_a, to_a)}, {second, b.slice(0, from_b, to_b)}});
    got_a.push_back(hidden.slice(0, 0, to_a - from_a));
    got_b.push_back(hidden.slice(0, to_a - from_a));
  };
  step(0, 7, 0, 2);
  for (int64_t i = 0; i < 4; ++i) step(7 + i, 8 + i, 2 + i, 3 + i);
  // A copy of the first goes its own way while the two go on.
  const int64_t forked = cache.fork(first);
  std::vector<at::Tensor> got_tail = {run_cached(*decoder, cache, {{forked, tail.slice(0, 0, 1)}})};
  step(11, 14, 6, 7);
  got_tail.push_back(run_cached(*decoder, cache, {{forked, tail.slice(0, 1, 6)}}));
  step(14, 17, 7, 11);
  EXPECT_TRUE(agree(at::cat(got_a), run(*decoder, causal(a)), 1e-12));
  EXPECT_TRUE(agree(at::cat(got_b), run(*decoder, causal(b)), 1e-12));
  EXPECT_TRUE(agree(at::cat(got_tail), run(*decoder, causal(at::cat({a.slice(0, 0, 11), tail}))).slice(0, 11), 1e-12));
  // Taken back and answered anew.
  cache.truncate(first, 5);
  EXPECT_TRUE(agree(run_cached(*decoder, cache, {{first, tail}}),
                    run(*decoder, causal(at::cat({a.slice(0, 0, 5), tail}))).slice(0, 5), 1e-12));
}

TEST(Decoder, TiedHeadIsTheEmbeddingTable) {
  const auto tied = made(at::kDouble, true), plain = made(at::kDouble, false);
  const at::Tensor table = tied->named_parameters()["model.embed_tokens.weight"], hidden = embeds_of(3, 1);
  EXPECT_FALSE(tied->named_parameters().contains("lm_head.weight"));
  EXPECT_TRUE(tied->head_weight().is_same(table));
  EXPECT_TRUE(agree(tied->head(hidden), at::matmul(hidden, table.t()), 1e-13));
  EXPECT_TRUE(agree(plain->head(hidden), at::matmul(hidden, plain->named_parameters()["lm_head.weight"].t()), 1e-13));
}

TEST(Decoder, NamesInputsThatDoNotFit) {
  const auto decoder = made();
  DecoderInputs inputs = causal(normal({4, 23}, at::kDouble, 1));
  EXPECT_EQ(error_of([&] { run(*decoder, inputs); }), "decoder: embeddings [4, 23] and positions [4], expected T x 24 and T");
}

TEST(Decoder, CostCountsItsParametersAndCache) {
  for (const bool tied : {false, true}) {
    const Decoder decoder(tiny(tied));
    Workload work;
    work.batch = 2;
    work.text_tokens = 7;
    work.cached_tokens = 3;
    EXPECT_EQ(decoder.cost(work).parameters + decoder.embedding_cost(work).parameters + decoder.head_cost(work).parameters,
              nn::count_parameters(decoder));
    EXPECT_EQ(decoder.cost(work).cache_bytes, 2 * 10 * (2 * 3 * 2 * 8) * 4);
    EXPECT_EQ(decoder.head_cost(work).flops, 2 * 2 * 24 * 50);
  }
}

}  // namespace
}  // namespace ocelli::language
