#include "ocelli/connector/qformer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ocelli/base/test_support.h"
#include "ocelli/connector/concat_neighbours.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::connector {
namespace {

using test::agree;
using test::error_of;
using test::normal;

constexpr int64_t kVision = 10, kLanguage = 7;

QFormerConfig tiny(bool text) {
  QFormerConfig config;
  config.hidden_size = 12;
  config.num_hidden_layers = 5;
  config.num_attention_heads = 3;
  config.intermediate_size = 20;
  config.cross_attention_frequency = 2;
  config.num_query_tokens = 4;
  config.layer_norm_eps = 1e-3;
  config.vocab_size = text ? 11 : 0;
  config.max_position_embeddings = 6;
  return config;
}

std::shared_ptr<QFormer> made(const QFormerConfig& config) {
  auto qformer = std::make_shared<QFormer>(config, kVision, kLanguage);
  test::randomize(*qformer, 3, at::kDouble);
  return qformer;
}

/// One picture through the published definition, written with dense attention over one sequence.
class Reference {
 public:
  Reference(const QFormer& qformer, const QFormerConfig& config) : config_(config), named_(qformer.named_parameters()) {}

  at::Tensor forward(const at::Tensor& picture, const std::vector<int64_t>& ids) const {
    const int64_t queries = config_.num_query_tokens;
    at::Tensor x = named_["query_tokens"][0];
    if (!ids.empty()) {
      const at::Tensor words = named_["qformer.embeddings.word_embeddings.weight"].index_select(0, at::tensor(ids));
      x = at::cat({x, words + named_["qformer.embeddings.position_embeddings.weight"].slice(0, 0, words.size(0))});
    }
    x = norm(x, config_.vocab_size > 0 ? "qformer.embeddings.layernorm" : "qformer.layernorm");
    for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
      const std::string layer = "qformer.encoder.layer." + std::to_string(i) + ".";
      const at::Tensor mixed = attention(x, x, layer + "attention.");
      at::Tensor asked = mixed.slice(0, 0, queries);
      if (i % config_.cross_attention_frequency == 0) asked = attention(asked, picture, layer + "crossattention.");
      asked = feed_forward(asked, layer, "_query");
      x = ids.empty() ? asked : at::cat({asked, feed_forward(mixed.slice(0, queries), layer, "")});
    }
    return linear(x.slice(0, 0, queries), "language_projection");
  }

 private:
  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    return at::linear(x, named_[name + ".weight"], named_[name + ".bias"]);
  }
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    return at::layer_norm(x, {x.size(-1)}, named_[name + ".weight"], named_[name + ".bias"], config_.layer_norm_eps);
  }
  at::Tensor attention(const at::Tensor& x, const at::Tensor& source, const std::string& name) const {
    const auto heads = [&](const at::Tensor& rows) {
      return rows.view({rows.size(0), config_.num_attention_heads, -1}).transpose(0, 1);
    };
    const at::Tensor query = heads(linear(x, name + "attention.query"));
    const at::Tensor key = heads(linear(source, name + "attention.key"));
    const at::Tensor scores = at::matmul(query, key.transpose(1, 2)) / std::sqrt(static_cast<double>(query.size(2)));
    const at::Tensor mixed = at::matmul(at::softmax(scores, -1), heads(linear(source, name + "attention.value")));
    return norm(linear(mixed.transpose(0, 1).reshape(x.sizes()), name + "output.dense") + x, name + "output.LayerNorm");
  }
  at::Tensor feed_forward(const at::Tensor& x, const std::string& layer, const std::string& suffix) const {
    const at::Tensor inner = at::gelu(linear(x, layer + "intermediate" + suffix + ".dense"));
    const std::string name = layer + "output" + suffix;
    return norm(linear(inner, name + ".dense") + x, name + ".LayerNorm");
  }

  QFormerConfig config_;
  torch::OrderedDict<std::string, at::Tensor> named_;
};

at::Tensor run(QFormer& qformer, const at::Tensor& maps, const at::Tensor& ids = {}, bool checkpointing = false) {
  nn::RunContext context;
  context.gradient_checkpointing = checkpointing;
  return qformer.forward({maps, {1, maps.size(1)}}, ids, context);
}

TEST(QFormer, EqualsItsDefinitionForEveryPicture) {
  for (const bool text : {false, true}) {
    const auto qformer = made(tiny(text));
    const Reference reference(*qformer, tiny(text));
    const at::Tensor maps = normal({3, 9, kVision}, at::kDouble, 1);
    const at::Tensor tokens = run(*qformer, maps);
    ASSERT_EQ(tokens.sizes(), (at::IntArrayRef{3, 4, kLanguage}));
    for (int64_t i = 0; i < 3; ++i) EXPECT_TRUE(agree(tokens[i], reference.forward(maps[i], {}), 1e-12)) << text << i;
  }
}

TEST(QFormer, ReadsEachPicturesOwnInstruction) {
  const auto qformer = made(tiny(true));
  const Reference reference(*qformer, tiny(true));
  const at::Tensor maps = normal({3, 9, kVision}, at::kDouble, 1);
  const std::vector<std::vector<int64_t>> texts = {{10, 0, 3}, {}, {5, 5, 1, 2, 10, 9}};
  at::Tensor ids = at::full({3, 6}, -1, at::kLong);
  for (int64_t i = 0; i < 3; ++i) {
    for (size_t t = 0; t < texts[static_cast<size_t>(i)].size(); ++t) {
      ids[i][static_cast<int64_t>(t)] = texts[static_cast<size_t>(i)][t];
    }
  }
  const at::Tensor tokens = run(*qformer, maps, ids);
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(agree(tokens[i], reference.forward(maps[i], texts[static_cast<size_t>(i)]), 1e-12)) << i;
  }
  // The words change what the queries find.
  EXPECT_FALSE(agree(tokens[0], reference.forward(maps[0], {}), 1e-3));
}

TEST(QFormer, LearnsEqualGradientsUnderCheckpointing) {
  const auto qformer = made(tiny(true));
  const at::Tensor pixels = normal({2, 5, kVision}, at::kDouble, 1), outer = normal({2, 4, kLanguage}, at::kDouble, 2);
  const at::Tensor tower = normal({kVision, kVision}, at::kDouble, 3).requires_grad_(true);
  const at::Tensor ids = at::tensor({1, 2, 3, 4, -1, -1}, at::kLong).view({2, 3});
  std::vector<std::vector<at::Tensor>> gradients;
  std::vector<at::Tensor> of_tower;
  for (const bool checkpointing : {false, true}) {
    test::clear_gradients(*qformer);
    tower.mutable_grad() = at::Tensor();
    const at::Tensor maps = at::tanh(at::linear(pixels, tower));  // a tower in training
    (run(*qformer, maps, ids, checkpointing) * outer).sum().backward();
    gradients.push_back(test::gradients_of(*qformer));
    of_tower.push_back(tower.grad().clone());
  }
  for (size_t i = 0; i < gradients[0].size(); ++i) EXPECT_TRUE(agree(gradients[1][i], gradients[0][i], 1e-10));
  EXPECT_TRUE(agree(of_tower[1], of_tower[0], 1e-10));
  EXPECT_GT(of_tower[0].abs().max().item<double>(), 0);
  // Everything is used but the text's feed-forward of the last layer, whose result nobody reads.
  const auto names = qformer->named_parameters();
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    const std::string& name = names[i].key();
    if (name.ends_with("key.bias")) continue;  // softmax does not see it
    const bool unread =
        name.find("layer.4.intermediate.") != std::string::npos || name.find("layer.4.output.") != std::string::npos;
    EXPECT_EQ(gradients[0][i].abs().max().item<double>() == 0, unread) << name;
  }
}

TEST(QFormer, NamesFaultyInstructions) {
  const auto with_text = made(tiny(true)), without = made(tiny(false));
  const at::Tensor maps = normal({2, 5, kVision}, at::kDouble, 1);
  const auto fault = [&](QFormer& qformer, const at::Tensor& ids) { return error_of([&] { run(qformer, maps, ids); }); };
  EXPECT_EQ(fault(*without, at::zeros({2, 3}, at::kLong)), "qformer: it takes no instruction text, 3 tokens were given");
  EXPECT_EQ(fault(*with_text, at::zeros({2, 7}, at::kLong)), "qformer: an instruction of 7 tokens, it takes at most 6");
  EXPECT_EQ(fault(*with_text, at::full({2, 2}, 11, at::kLong)), "qformer: instruction id 11 is outside the vocabulary of 11");
  EXPECT_EQ(fault(*with_text, at::full({2, 2}, -2, at::kLong)), "qformer: instruction id -2 is outside the vocabulary of 11");
  EXPECT_EQ(fault(*with_text, at::zeros({1, 2}, at::kLong)), "qformer: instruction ids [1, 2], expected 2 x T");
  EXPECT_EQ(error_of([&] {
              run(*with_text, normal({2, 5, 3}, at::kDouble, 1));
            }),
            "qformer: features [2, 5, 3], expected N x P x 10");
}

TEST(QFormer, CountsParametersAndFlops) {
  for (const bool text : {false, true}) {
    const QFormerConfig config = tiny(text);
    const QFormer qformer(config, kVision, kLanguage);
    const Cost cost = qformer.cost({3, 3}, 2, text ? 5 : 0, {});
    EXPECT_EQ(cost.parameters, nn::count_parameters(qformer));
    const Json json = config.to_json();
    EXPECT_EQ(QFormerConfig::from_json(JsonView(json, "c")).to_json(), json);
  }
  // BLIP-2's at a tower of 1024 and a decoder of 4096: facts of the field, and the sum over its matrices.
  const QFormer blip2(QFormerConfig{}, 1024, 4096);
  const Cost cost = blip2.cost({16, 16}, 1, {});
  EXPECT_EQ(cost.parameters, 104'773'120);
  const double q = 32, h = 768, n = 257,
               products = 12 * (24 * q * h * h + 4 * q * q * h) + 6 * (4 * q * h * h + 4 * n * 1024 * h + 4 * q * n * h) +
                          2 * q * h * 4096;
  EXPECT_GE(cost.flops, products);
  EXPECT_LE(cost.flops, products * 1.001);
}

TEST(QFormerConfig, NamesImpossibleValues) {
  const auto fault = [](const Json& json) { return error_of([&] { QFormerConfig::from_json(JsonView(json, "c.json")); }); };
  EXPECT_EQ(fault({{"hidden_size", 10}, {"num_attention_heads", 3}}),
            "c.json: hidden_size 10 is no multiple of num_attention_heads 3");
  EXPECT_EQ(fault({{"cross_attention_frequency", 0}}), "c.json: cross_attention_frequency is 0, expected 1 to 256");
  EXPECT_EQ(fault({{"text_input", true}, {"vocab_size", 0}}), "c.json: vocab_size is 0, expected 1 to 2097152");
}

TEST(ConcatNeighbours, JoinsFourPatchesOfARow) {
  ConcatNeighbours connector(4, 3, 5);
  test::randomize(connector, 1, at::kDouble);
  const at::Tensor maps = normal({2, 16, 3}, at::kDouble, 1);
  nn::RunContext run;
  const at::Tensor tokens = connector.forward({maps, {2, 8}}, {run});
  ASSERT_EQ(tokens.sizes(), (at::IntArrayRef{2, 4, 5}));
  const auto named = connector.named_parameters();
  for (int64_t i = 0; i < 4; ++i) {  // token i: patches 4i … 4i + 3, of one row of the grid
    const at::Tensor folded =
        at::cat({maps.select(1, 4 * i), maps.select(1, 4 * i + 1), maps.select(1, 4 * i + 2), maps.select(1, 4 * i + 3)}, -1);
    EXPECT_TRUE(agree(tokens.select(1, i), at::linear(folded, named["linear_1.weight"], named["linear_1.bias"]), 1e-12));
  }
  EXPECT_EQ(connector.cost({2, 8}, 2, {}).parameters, nn::count_parameters(connector));
  EXPECT_DOUBLE_EQ(connector.cost({2, 8}, 2, {}).flops, 2.0 * 8 * 12 * 5);
}

TEST(ConcatNeighbours, NamesGridsThatDoNotDivide) {
  ConcatNeighbours connector(4, 3, 5);
  nn::RunContext run;
  EXPECT_EQ(error_of([&] {
              (void)connector.num_tokens({3, 5});
            }),
            "concat: the 15 patches of a grid of 3 x 5 are no multiple of 4");
  EXPECT_EQ(error_of([&] {
              connector.forward({at::zeros({1, 17, 3}), {4, 4}}, {run});
            }),
            "concat: 17 patches do not fill a grid of 4 x 4");
}

}  // namespace
}  // namespace ocelli::connector
