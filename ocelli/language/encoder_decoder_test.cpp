#include "ocelli/language/encoder_decoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ocelli/base/test_support.h"
#include "ocelli/language/relative_attention.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::language {
namespace {

using nn::AttentionLayout;
using test::agree;
using test::error_of;
using test::normal;

EncoderDecoderConfig tiny(bool gated, bool tied) {
  EncoderDecoderConfig config;
  config.vocab_size = 40;
  config.d_model = 12;
  config.d_kv = 5;  // heads do not add up to the width
  config.d_ff = 20;
  config.num_layers = 2;
  config.num_decoder_layers = 3;
  config.num_heads = 3;
  config.relative_attention_num_buckets = 8;
  config.relative_attention_max_distance = 12;
  config.dense_act_fn = gated ? nn::Activation::kGelu : nn::Activation::kRelu;
  config.is_gated_act = gated;
  config.tie_word_embeddings = config.scale_decoder_outputs = tied;
  return config;
}

std::shared_ptr<EncoderDecoder> made(bool gated = true, bool tied = false) {
  auto model = std::make_shared<EncoderDecoder>(tiny(gated, tied));
  test::randomize(*model, 5, at::kDouble);
  return model;
}

/// The bucket of one distance, by the words of the paper.
int64_t bucket_of(int64_t distance, bool bidirectional, int64_t buckets, int64_t max_distance) {
  int64_t first = 0, own = buckets;
  if (bidirectional) {
    own = buckets / 2;
    if (distance > 0) first = own;
    distance = std::abs(distance);
  } else {
    distance = distance > 0 ? 0 : -distance;
  }
  const int64_t exact = own / 2;
  if (distance < exact) return first + distance;
  const double share = std::log(static_cast<double>(distance) / static_cast<double>(exact)) /
                       std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  return first + std::min<int64_t>(own - 1, exact + static_cast<int64_t>(share * static_cast<double>(own - exact) + 1e-6));
}

/// One sequence through the published definition: dense, no cache, no layout.
class Reference {
 public:
  Reference(const EncoderDecoder& model) : config_(model.config()), named_(model.named_parameters()) {}

  at::Tensor encode(const at::Tensor& x) const { return stack(x, {}, false); }
  at::Tensor decode(const at::Tensor& x, const at::Tensor& memory) const {
    const at::Tensor hidden = stack(x, memory, true);
    return config_.scale_decoder_outputs ? hidden * std::pow(static_cast<double>(config_.d_model), -0.5) : hidden;
  }

 private:
  at::Tensor weight(const std::string& name) const { return named_[name + ".weight"]; }
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    return x * at::rsqrt(x.square().mean(-1, true) + config_.layer_norm_epsilon) * weight(name);
  }
  at::Tensor attention(const at::Tensor& x, const at::Tensor& source, const std::string& name, const at::Tensor& bias) const {
    const auto heads = [&](const at::Tensor& rows, const char* matrix) {
      return at::linear(rows, weight(name + "." + matrix)).view({rows.size(0), config_.num_heads, config_.d_kv}).transpose(0, 1);
    };
    const at::Tensor scores = at::matmul(heads(x, "q"), heads(source, "k").transpose(1, 2)) + bias;
    const at::Tensor mixed = at::matmul(at::softmax(scores, -1), heads(source, "v")).transpose(0, 1);
    return at::linear(mixed.reshape({x.size(0), -1}), weight(name + ".o"));
  }
  at::Tensor bias(int64_t length, const std::string& stack, bool causal) const {
    const at::Tensor table = weight(stack + ".block.0.layer.0.SelfAttention.relative_attention_bias");
    at::Tensor out = at::zeros({config_.num_heads, length, length}, table.options());
    for (int64_t i = 0; i < length; ++i) {
      for (int64_t j = 0; j < length; ++j) {
        const int64_t bucket =
            bucket_of(j - i, !causal, config_.relative_attention_num_buckets, config_.relative_attention_max_distance);
        out.select(1, i).select(1, j).copy_(table[bucket]);
        if (causal && j > i) out.select(1, i).select(1, j).fill_(-1e300);
      }
    }
    return out;
  }
  at::Tensor stack(at::Tensor x, const at::Tensor& memory, bool decodes) const {
    const std::string name = decodes ? "decoder" : "encoder";
    const at::Tensor places = bias(x.size(0), name, decodes);
    for (int64_t i = 0; i < (decodes ? config_.num_decoder_layers : config_.num_layers); ++i) {
      const std::string block = name + ".block." + std::to_string(i) + ".layer.";
      const at::Tensor own = norm(x, block + "0.layer_norm");
      x = x + attention(own, own, block + "0.SelfAttention", places);
      if (decodes) {
        x = x + attention(norm(x, block + "1.layer_norm"), memory, block + "1.EncDecAttention", at::zeros({1}, x.options()));
      }
      const std::string mlp = block + (decodes ? "2." : "1.");
      const at::Tensor in = norm(x, mlp + "layer_norm");
      const at::Tensor inner = config_.is_gated_act ? at::gelu(at::linear(in, weight(mlp + "DenseReluDense.wi_0"))) *
                                                          at::linear(in, weight(mlp + "DenseReluDense.wi_1"))
                                                    : at::relu(at::linear(in, weight(mlp + "DenseReluDense.wi")));
      x = x + at::linear(inner, weight(mlp + "DenseReluDense.wo"));
    }
    return norm(x, name + ".final_layer_norm");
  }

  EncoderDecoderConfig config_;
  torch::OrderedDict<std::string, at::Tensor> named_;
};

at::Tensor embeds_of(int64_t rows, uint64_t seed) {
  return normal({rows, 12}, at::kDouble, seed);
}

/// Two sequences end to end: 17 and 4 rows of prompt, 15 and 3 of answer.
struct Two {
  at::Tensor prompt = embeds_of(21, 1), answer = embeds_of(18, 2);
  AttentionLayout encoder, decoder, cross;
  Two() {
    encoder.add({0, 17, 0, 17, false, 0});
    encoder.add({17, 21, 17, 21, false, 0});
    decoder.add({0, 15, 0, 15, true, 0});
    decoder.add({15, 18, 15, 18, true, 0});
    cross.add({0, 15, 0, 17, false, 0});
    cross.add({15, 18, 17, 21, false, 0});
  }
  at::Tensor run(EncoderDecoder& model, bool checkpointing = false) const {
    nn::RunContext context;
    context.gradient_checkpointing = checkpointing;
    DecoderInputs inputs;
    inputs.embeds = answer;
    inputs.layout = decoder;
    inputs.memory = model.encode(prompt, encoder, context);
    inputs.memory_layout = cross;
    return model.forward(inputs, context);
  }
};

TEST(RelativeBuckets, FollowThePaper) {
  for (const auto& [buckets, distance] : {std::pair<int64_t, int64_t>{32, 128}, {8, 12}, {12, 40}}) {
    for (const bool bidirectional : {false, true}) {
      const at::Tensor got = relative_buckets(-300, 601, bidirectional, buckets, distance);
      for (int64_t d = -300; d <= 300; ++d) {
        ASSERT_EQ(got[d + 300].item<int64_t>(), bucket_of(d, bidirectional, buckets, distance)) << d << " " << buckets;
      }
    }
  }
}

TEST(EncoderDecoder, EqualsItsDefinitionForEverySequence) {
  for (const bool gated : {false, true}) {
    for (const bool tied : {false, true}) {
      const auto model = made(gated, tied);
      const Reference reference(*model);
      const Two two;
      const at::Tensor hidden = two.run(*model);
      const auto alone = [&](int64_t prompt, int64_t prompt_end, int64_t answer, int64_t answer_end) {
        return reference.decode(two.answer.slice(0, answer, answer_end),
                                reference.encode(two.prompt.slice(0, prompt, prompt_end)));
      };
      EXPECT_TRUE(agree(hidden.slice(0, 0, 15), alone(0, 17, 0, 15), 1e-12)) << gated << tied;
      EXPECT_TRUE(agree(hidden.slice(0, 15), alone(17, 21, 15, 18), 1e-12)) << gated << tied;
      const auto named = model->named_parameters();
      EXPECT_EQ(named.contains("lm_head.weight"), !tied);
      const at::Tensor head = named[tied ? "shared.weight" : "lm_head.weight"];
      EXPECT_TRUE(agree(model->head(hidden), at::matmul(hidden, head.t()), 1e-13));
      EXPECT_TRUE(model->head_weight().is_same(head));
    }
  }
}

TEST(EncoderDecoder, CheckpointingGivesTheSameGradients) {
  const auto model = made(true, true);
  std::vector<std::vector<at::Tensor>> gradients;
  for (const bool checkpointing : {false, true}) {
    test::clear_gradients(*model);
    model->head(Two().run(*model, checkpointing)).square().sum().backward();
    gradients.push_back(test::gradients_of(*model));
  }
  const auto names = model->named_parameters().keys();
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_TRUE(agree(gradients[1][i], gradients[0][i], 1e-10)) << names[i];
    EXPECT_GT(gradients[0][i].abs().max().item<double>(), 0) << names[i];
  }
}

TEST(EncoderDecoder, DecodingWithTheCacheEqualsOneFullPass) {
  const auto model = made();
  const Two two;
  const at::NoGradGuard no_grad;
  const at::Tensor whole = two.run(*model);
  nn::RunContext context;
  nn::KvCache cache({.layers = 3, .kv_heads = 3, .head_width = 5, .block_size = 4, .blocks = 12, .dtype = at::kDouble});
  const int64_t first = cache.add_sequence(), second = cache.add_sequence();
  const at::Tensor memory = model->encode(two.prompt, two.encoder, context);
  // Rows of the answers of both, some at a time; the memory is given with the first.
  std::vector<at::Tensor> got_a, got_b;
  const auto step = [&](int64_t from_a, int64_t to_a, int64_t from_b, int64_t to_b) {
    DecoderInputs inputs;
    inputs.cache = &cache;
    inputs.embeds = at::cat({two.answer.slice(0, from_a, to_a), two.answer.slice(0, 15 + from_b, 15 + to_b)});
    const int64_t middle = to_a - from_a, end = middle + to_b - from_b;
    cache.reserve(first, middle);
    cache.add_spans(first, 0, middle, inputs.layout);
    inputs.cache_rows = {{first, 0, middle}};
    if (end > middle) {
      cache.reserve(second, end - middle);
      cache.add_spans(second, middle, end, inputs.layout);
      inputs.cache_rows.push_back({second, middle, end});
    }
    if (from_a == 0) {
      inputs.memory = memory;
      inputs.memory_layout.add({0, middle, 0, 17, false, 0});
      inputs.memory_layout.add({middle, end, 17, 21, false, 0});
    }
    const at::Tensor hidden = model->forward(inputs, context);
    got_a.push_back(hidden.slice(0, 0, middle));
    got_b.push_back(hidden.slice(0, middle));
  };
  step(0, 6, 0, 1);
  step(6, 7, 1, 2);
  step(7, 8, 2, 3);
  step(8, 13, 3, 3);
  step(13, 15, 3, 3);
  EXPECT_TRUE(agree(at::cat(got_a), whole.slice(0, 0, 15), 1e-12));
  EXPECT_TRUE(agree(at::cat(got_b), whole.slice(0, 15), 1e-12));
}

TEST(EncoderDecoder, OutputRowsEqualThoseOfTheFullResult) {
  const auto model = made();
  const Two two;
  nn::RunContext context;
  DecoderInputs inputs;
  inputs.embeds = two.answer;
  inputs.layout = two.decoder;
  inputs.memory = model->encode(two.prompt, two.encoder, context);
  inputs.memory_layout = two.cross;
  inputs.output_rows = at::tensor({2, 14, 17}, at::kLong);
  EXPECT_TRUE(agree(model->forward(inputs, context), two.run(*model).index_select(0, inputs.output_rows), 1e-12));
}

TEST(EncoderDecoder, NamesInputsThatDoNotFit) {
  const auto model = made();
  nn::RunContext context;
  DecoderInputs inputs;
  inputs.embeds = normal({2, 11}, at::kDouble, 1);
  EXPECT_EQ(error_of([&] { model->encode(inputs.embeds, {}, context); }), "encoder: embeddings [2, 11], expected T x 12");
  EXPECT_EQ(error_of([&] { model->forward(inputs, context); }), "decoder: embeddings [2, 11], expected T x 12");
  inputs.embeds = embeds_of(2, 1);
  EXPECT_EQ(error_of([&] { model->forward(inputs, context); }), "decoder: no memory to look at was given");
}

TEST(EncoderDecoder, CountsParametersAndFlops) {
  for (const bool tied : {false, true}) {
    const EncoderDecoder model(tiny(!tied, tied));
    Workload work;
    work.batch = 2;
    work.memory_rows = 9;
    work.text_tokens = 4;
    const Cost cost = model.encoder_cost(work) + model.cost(work) + model.embedding_cost(work) + model.head_cost(work);
    EXPECT_EQ(cost.parameters, nn::count_parameters(model));
    EXPECT_EQ(model.cost(work).cache_bytes, 2 * (4 + 9) * 2 * 3 * 15 * 4);
    EXPECT_EQ(model.head_cost(work).flops, 2 * 2 * 12 * 40);
    // Keys and values of the memory are made once.
    Workload later = work;
    later.text_tokens = 1;
    Workload first = later;
    later.cached_tokens = 4;
    const double made_once = 3 * 2 * (2 * 2.0 * 9 * 12 * 15), more_pairs = 3 * 2 * 4.0 * 4 * 15;
    EXPECT_DOUBLE_EQ(model.cost(first).flops - model.cost(later).flops, made_once - more_pairs);
  }
}

TEST(EncoderDecoderConfig, ReadsEveryFormOfFeedForward) {
  const auto read = [](const Json& json) { return EncoderDecoderConfig::from_json(JsonView(json, "c.json")); };
  EXPECT_EQ(read(Json::object()).dense_act_fn, nn::Activation::kRelu);
  EXPECT_FALSE(read(Json::object()).is_gated_act);
  const EncoderDecoderConfig flan = read({{"feed_forward_proj", "gated-gelu"}, {"tie_word_embeddings", false}});
  EXPECT_EQ(flan.dense_act_fn, nn::Activation::kGeluTanh);
  EXPECT_TRUE(flan.is_gated_act);
  EXPECT_FALSE(flan.scale_decoder_outputs);
  // BLIP-2's FlanT5 says erf.
  EXPECT_EQ(read({{"feed_forward_proj", "gated-gelu"}, {"dense_act_fn", "gelu"}}).dense_act_fn, nn::Activation::kGelu);
  EXPECT_TRUE(read({{"num_layers", 3}}).scale_decoder_outputs);
  EXPECT_EQ(read({{"num_layers", 3}}).num_decoder_layers, 3);
  const Json json = tiny(true, false).to_json();
  EXPECT_EQ(read(json).to_json(), json);
}

TEST(EncoderDecoderConfig, NamesImpossibleValues) {
  const auto fault = [](const Json& json) {
    return error_of([&] { EncoderDecoderConfig::from_json(JsonView(json, "c.json")); });
  };
  EXPECT_EQ(fault({{"d_model", 0}}), "c.json: d_model is 0, expected 1 to 131072");
  EXPECT_EQ(fault({{"relative_attention_num_buckets", 6}}),
            "c.json: relative_attention_num_buckets is 6, expected a multiple of 4");
  EXPECT_EQ(fault({{"vocab_size", 10}, {"decoder_start_token_id", 10}}), "c.json: decoder_start_token_id is 10, expected 0 to 9");
}

}  // namespace
}  // namespace ocelli::language
