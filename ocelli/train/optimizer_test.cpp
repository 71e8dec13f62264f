#include "ocelli/train/optimizer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>

#include "ocelli/base/test_support.h"

namespace ocelli::train {
namespace {

std::shared_ptr<model::Model> make_model() {
  const Json json = {{"model_type", "llama"},      {"vocab_size", 300},      {"hidden_size", 16},
                     {"intermediate_size", 32},    {"num_hidden_layers", 1}, {"num_attention_heads", 2},
                     {"num_key_value_heads", 1},   {"rms_norm_eps", 1e-5},   {"max_position_embeddings", 64},
                     {"tie_word_embeddings", true}};
  model::ModelConfig config;
  config.decoder = language::DecoderConfig::from_json(JsonView(json, "test"));
  auto model = std::make_shared<model::Model>(config);
  nn::initialize(*model, 1);
  return model;
}

StageRecipe stage() {
  StageRecipe out;
  out.name = "test";
  out.train = {"decoder"};
  out.learning_rate = {{"vision", 1e-2}, {"connector", 1e-2}, {"decoder", 1e-2}};
  out.weight_decay = 0.1;
  return out;
}

std::map<std::string, at::Tensor> parameters(const model::Model& model) {
  std::map<std::string, at::Tensor> out;
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& p) { out[name] = p.tensor; });
  return out;
}

at::Tensor gradient(const at::Tensor& parameter, int64_t step, int64_t salt) {
  const at::Tensor i = at::arange(parameter.numel(), at::kDouble);
  return at::sin(i * 0.37 + static_cast<double>(step * 1.3 + salt)).reshape(parameter.sizes()).to(parameter.scalar_type());
}

/// Loshchilov and Hutter, arXiv:1711.05101, algorithm 2, in double.
struct Reference {
  at::Tensor weight, first, second;
  void step(const at::Tensor& g, double rate, double decay, int64_t t) {
    first = 0.9 * first + 0.1 * g;
    second = 0.999 * second + 0.001 * g * g;
    const at::Tensor m = first / (1 - std::pow(0.9, static_cast<double>(t))),
                     v = second / (1 - std::pow(0.999, static_cast<double>(t)));
    weight = weight - rate * decay * weight - rate * m / (v.sqrt() + 1e-8);
  }
};

void compare_over_ten_steps(at::ScalarType dtype, double tolerance) {
  const auto model = make_model();
  const Masters masters = masters_of(*model, {stage()}, dtype);
  model::set_precision(*model, dtype);
  Optimizer optimizer(*model, stage(), masters);
  const auto all = parameters(*model);
  EXPECT_EQ(masters.size(), dtype == at::kBFloat16 ? all.size() : 0);
  std::map<std::string, Reference> reference;
  for (const auto& [name, tensor] : all) {
    // From what the model held before it was cast.
    const at::Tensor wide = (masters.empty() ? tensor : masters.at(name)).detach().to(at::kDouble).clone();
    reference[name] = {wide, at::zeros_like(wide), at::zeros_like(wide)};
  }
  for (int64_t t = 1; t <= 10; ++t) {
    double squares = 0;
    int64_t salt = 0;
    for (const auto& [name, tensor] : all) {
      at::Tensor parameter = tensor;
      parameter.mutable_grad() = gradient(parameter, t, salt++);
      const at::Tensor g = parameter.grad().to(at::kDouble);
      squares += (g * g).sum().item<double>();
      // Decay spares what has one dimension: norms and biases.
      reference[name].step(g * 0.5, 1e-2 * 0.7, parameter.dim() >= 2 ? 0.1 : 0, t);
    }
    EXPECT_NEAR(optimizer.gradient_norm(), std::sqrt(squares), 1e-5 * std::sqrt(squares));
    optimizer.step(0.7, 0.5);
  }
  EXPECT_EQ(optimizer.steps(), 10);
  for (const auto& [name, tensor] : all) {
    const at::Tensor master = masters.empty() ? at::Tensor() : masters.at(name);
    const at::Tensor weight = master.defined() ? master : tensor;
    EXPECT_LT((weight.to(at::kDouble) - reference[name].weight).abs().max().item<double>(), tolerance) << name;
    EXPECT_FALSE(tensor.grad().defined());
    if (master.defined()) {
      EXPECT_TRUE(tensor.equal(master.to(at::kBFloat16))) << name;
    }
  }
}

TEST(Optimizer, IsDecoupledAdamW) {
  compare_over_ten_steps(at::kFloat, 2e-6);
}

/// The fp32 weights take every step in full, although the model holds their bf16 rounding.
TEST(Optimizer, KeepsFp32WeightsBehindBf16) {
  compare_over_ten_steps(at::kBFloat16, 2e-6);
}

TEST(Optimizer, RestoredItGoesOnBitForBit) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto model = make_model(), other = make_model();
    const Masters masters = masters_of(*model, {stage()}, dtype), others = masters_of(*other, {stage()}, dtype);
    model::set_precision(*model, dtype);
    model::set_precision(*other, dtype);
    Optimizer one(*model, stage(), masters), two(*other, stage(), others);
    const auto run = [](Optimizer& optimizer, const model::Model& of, int64_t t) {
      int64_t salt = 0;
      for (const auto& [name, tensor] : parameters(of)) {
        at::Tensor parameter = tensor;
        parameter.mutable_grad() = gradient(parameter, t, salt++);
      }
      optimizer.step(1, 1);
    };
    for (int64_t t = 1; t <= 3; ++t) run(one, *model, t);
    std::map<std::string, at::Tensor> state;
    for (const auto& [name, tensor] : one.state()) state[name] = tensor.clone();
    const auto from = parameters(*model), to = parameters(*other);
    for (const auto& [name, tensor] : from) {
      const at::NoGradGuard no_grad;
      at::Tensor target = to.at(name);
      target.copy_(tensor);
    }
    for (const auto& [name, tensor] : masters) {
      at::Tensor target = others.at(name);
      target.copy_(tensor);
    }
    two.restore(state, 3);
    run(one, *model, 4);
    run(two, *other, 4);
    for (const auto& [name, tensor] : from) EXPECT_TRUE(tensor.equal(to.at(name))) << name;
    state.erase(state.begin());
    EXPECT_THAT(test::error_of([&] { two.restore(state, 3); }), ::testing::HasSubstr("is missing"));
  }
}

TEST(Optimizer, NeedsAnFp32WeightBehindEveryBf16OneItTrains) {
  const auto model = make_model();
  model::set_precision(*model, at::kBFloat16);
  EXPECT_THAT(test::error_of([&] { Optimizer(*model, stage()); }), ::testing::HasSubstr("has no fp32 weight behind it"));
  StageRecipe frozen = stage();
  frozen.train = {"vision"};
  EXPECT_TRUE(masters_of(*make_model(), {frozen}, at::kBFloat16).empty());
}

TEST(Optimizer, RefusesToTrainNothing) {
  const auto model = make_model();
  StageRecipe none = stage();
  none.train = {"vision"};
  EXPECT_THAT(test::error_of([&] { Optimizer(*model, none); }), ::testing::HasSubstr("nothing is trained"));
  none = stage();
  none.learning_rate["decoder"] = 0;
  EXPECT_THAT(test::error_of([&] { Optimizer(*model, none); }), ::testing::HasSubstr("nothing is trained"));
}

}  // namespace
}  // namespace ocelli::train
