// The convolutional stem and the vision transformer.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"
#include "ocelli/vision/conv_stem.h"
#include "ocelli/vision/test_towers.h"
#include "ocelli/vision/vision_transformer.h"

namespace ocelli::vision {
namespace {

using test::agree;
using test::error_of;
using test::normal;

VisionConfig tower(bool clip) {
  VisionConfig config;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 2;
  config.image_size = 16;
  config.patch_size = 4;
  config.class_embedding = config.pre_layernorm = clip;
  config.patch_bias = !clip;
  return config;
}

VisionConfig with_stem() {
  VisionConfig config = tower(false);
  config.stem_channels = {8, 12, 16};
  config.stem_strides = {2, 1, 2};
  config.batch_norm_eps = 1e-3;
  config.batch_norm_momentum = 0.2;
  config.apply_post_layernorm = true;
  return config;
}

/// The stem by ATen's own operations over copies of its tensors: {name: tensor}.
at::Tensor plain_stem(const VisionConfig& config, std::map<std::string, at::Tensor>& held, at::Tensor x, bool training) {
  for (size_t i = 0; i < config.stem_channels.size(); ++i) {
    const std::string prefix = std::to_string(i) + ".";
    x = at::conv2d(x, held[prefix + "conv.weight"], {}, {config.stem_strides[i], config.stem_strides[i]}, {1, 1});
    x = at::relu(at::batch_norm(x, held[prefix + "norm.weight"], held[prefix + "norm.bias"], held[prefix + "norm.running_mean"],
                                held[prefix + "norm.running_var"], training, config.batch_norm_momentum, config.batch_norm_eps,
                                false));
  }
  return x;
}

TEST(ConvStem, EqualsConvolutionBatchNormAndRelu) {
  const VisionConfig config = with_stem();
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-11}, {at::kFloat, 1e-4}}) {
    for (const bool training : {true, false}) {
      SCOPED_TRACE(fmt::format("{}, training {}", c10::toString(dtype), training));
      ConvStem stem(config);
      test::randomize(stem, 4, dtype);
      std::map<std::string, at::Tensor> held;
      std::vector<std::string> trained;
      nn::for_each_parameter(stem, [&](const std::string& name, const nn::Parameter& parameter) {
        held[name] = parameter.tensor.detach().to(at::kDouble, false, true);
        if (!parameter.buffer) {
          held[name].requires_grad_(true);
          trained.push_back(name);
        }
      });
      const at::Tensor pixels = normal({5, 3, 16, 18}, dtype, 1).requires_grad_(true);
      const at::Tensor plain_pixels = pixels.detach().to(at::kDouble, false, true).requires_grad_(true);
      const at::Tensor got = stem.forward(pixels, training), expected = plain_stem(config, held, plain_pixels, training);
      EXPECT_TRUE(agree(got, expected, tolerance));
      EXPECT_TRUE(got.is_contiguous(at::MemoryFormat::ChannelsLast));
      const at::Tensor outer = normal(got.sizes(), dtype, 2);
      got.backward(outer);
      expected.backward(outer.to(at::kDouble));
      EXPECT_TRUE(agree(pixels.grad(), plain_pixels.grad(), tolerance));
      const auto named = stem.named_parameters();
      for (const std::string& name : trained) EXPECT_TRUE(agree(named[name].grad(), held[name].grad(), tolerance)) << name;
      for (const auto& buffer : stem.named_buffers())
        EXPECT_TRUE(agree(buffer.value(), held[buffer.key()], tolerance)) << buffer.key();
    }
  }
}

TEST(ConvStem, EvaluationLeavesTheRunningStatistics) {
  ConvStem stem(with_stem());
  nn::initialize(stem, 1);
  const at::Tensor x = normal({2, 3, 16, 16}, at::kFloat, 1);
  const auto mean = [&] { return stem.named_buffers()["0.norm.running_mean"].clone(); };
  stem.forward(x, false);
  EXPECT_TRUE(at::equal(mean(), at::zeros({8})));
  stem.forward(x, true);
  EXPECT_FALSE(at::equal(mean(), at::zeros({8})));
}

TEST(ConvStem, TakesBf16AgainstFp32Statistics) {
  ConvStem stem(with_stem());
  test::randomize(stem, 4, at::kFloat);
  const at::Tensor x = normal({2, 3, 16, 16}, at::kFloat, 1);
  const at::Tensor expected = stem.forward(x, false);
  nn::for_each_parameter(stem, [&](const std::string& name, const nn::Parameter& parameter) {
    if (!parameter.buffer) nn::fill(name, parameter, parameter.tensor.detach().to(at::kBFloat16));
  });
  EXPECT_TRUE(agree(stem.forward(x.to(at::kBFloat16), false), expected, 5e-2));
  stem.forward(x.to(at::kBFloat16), true).sum().backward();
  for (const auto& parameter : stem.named_parameters()) {
    EXPECT_EQ(parameter.value().grad().scalar_type(), at::kBFloat16) << parameter.key();
    EXPECT_TRUE(at::isfinite(parameter.value().grad()).all().item<bool>()) << parameter.key();
  }
}

TEST(VisionTransformer, CountsWholePatchesAndNamesWhatIsTooSmall) {
  const VisionTransformer model(tower(false));
  EXPECT_EQ(model.grid(16, 20), (image::Grid{4, 5}));
  EXPECT_EQ(model.grid(19, 7), (image::Grid{4, 1}));
  EXPECT_EQ(error_of([&] { (void)model.grid(3, 16); }), "vision tower: a tile of 16 x 3 pixels holds no patch of 4");
}

TEST(VisionTransformer, NamesPixelsOfAnotherShape) {
  VisionTransformer model(tower(false));
  nn::initialize(model, 1);
  nn::RunContext context;
  EXPECT_EQ(error_of([&] {
              model.forward(at::zeros({1, 3, 16, 12}), context);
            }),
            "vision tower: pixels of shape [1, 3, 16, 12], expected N x 3 x 16 x 16");
  EXPECT_EQ(error_of([&] {
              model.forward(at::zeros({3, 16, 16}), context);
            }),
            "vision tower: pixels of shape [3, 16, 16], expected N x 3 x 16 x 16");
}

/// Features of the tower of that config with the weights of seed 8.
at::Tensor features(const VisionConfig& config, nn::RunContext& context) {
  VisionTransformer model(config);
  test::randomize(model, 8, at::kDouble);
  return model.forward(normal({3, 3, 16, 16}, at::kDouble, 1), context).maps;
}
at::Tensor features(const VisionConfig& config) {
  nn::RunContext context;
  return features(config, context);
}

TEST(VisionTransformer, TakesTheHiddenStatesAskedFor) {
  for (const bool clip : {false, true}) {
    VisionConfig config = tower(clip);
    std::map<std::string, at::Tensor> seen;
    nn::RunContext context;
    context.observe = [&](std::string_view block, const at::Tensor& output) { seen[std::string(block)] = output.detach(); };
    config.feature_layers = {-1};
    const at::Tensor last = features(config, context);
    EXPECT_EQ(last.sizes(), (at::IntArrayRef{3, 16, 16}));
    const auto state = [&](int64_t index) {
      at::Tensor rows = seen["vision_tower.encoder.layers." + std::to_string(index - 1)].view({3, clip ? 17 : 16, 16});
      return clip ? rows.slice(1, 1) : rows;
    };
    EXPECT_TRUE(at::equal(last, state(3)));
    for (const int64_t index : {1, 2, 3}) {
      for (const int64_t layer : {index, index - 4}) {
        config.feature_layers = {layer};
        EXPECT_TRUE(at::equal(features(config), state(index))) << layer;
      }
    }
    config.feature_layers = {-2, 1, 3};
    EXPECT_EQ(config.feature_width(), 48);
    EXPECT_TRUE(at::equal(features(config), at::cat({state(2), state(1), state(3)}, -1)));
  }
}

TEST(VisionTransformer, RunsOnlyTheBlocksItNeeds) {
  VisionConfig config = tower(false);
  config.feature_layers = {1, -3};
  int blocks = 0;
  nn::RunContext context;
  context.observe = [&](std::string_view block, const at::Tensor&) {
    blocks += block.find("layers") != std::string_view::npos ? 1 : 0;
  };
  features(config, context);
  EXPECT_EQ(blocks, 1);
  config.feature_layers = {4};
  EXPECT_EQ(error_of([&] { features(config); }), "vision tower: feature layer 4 does not exist in 3 blocks");
  config.feature_layers = {-5};
  EXPECT_EQ(error_of([&] { features(config); }), "vision tower: feature layer -5 does not exist in 3 blocks");
}

TEST(VisionTransformer, DropsOrKeepsTheClassToken) {
  VisionConfig config = tower(true);
  const at::Tensor dropped = features(config);
  config.keep_class_token = true;
  const at::Tensor kept = features(config);
  EXPECT_EQ(kept.sizes(), (at::IntArrayRef{3, 17, 16}));
  EXPECT_TRUE(at::equal(kept.slice(1, 1), dropped));
}

TEST(VisionTransformer, TilesDoNotSeeEachOther) {
  VisionTransformer model(tower(true));
  test::randomize(model, 8, at::kDouble);
  nn::RunContext context;
  const at::Tensor pixels = normal({4, 3, 16, 16}, at::kDouble, 1);
  const at::Tensor together = model.forward(pixels, context).maps;
  for (int64_t i = 0; i < 4; ++i)
    EXPECT_TRUE(agree(together.slice(0, i, i + 1), model.forward(pixels.slice(0, i, i + 1), context).maps, 1e-12));
}

TEST(VisionTransformer, BlocksStartAsTheIdentity) {
  VisionConfig config = with_stem();
  config.apply_post_layernorm = false;
  nn::RunContext context;
  const at::Tensor pixels = normal({2, 3, 16, 16}, at::kFloat, 1);
  const auto started = [&](int64_t layer) {
    config.feature_layers = {layer};
    VisionTransformer model(config);
    nn::initialize(model, 3);
    return model.forward(pixels, context).maps;
  };
  EXPECT_TRUE(at::equal(started(0), started(-1)));
}

TEST(VisionTransformer, CheckpointingGivesTheSameGradients) {
  VisionTransformer model(with_stem());
  test::randomize(model, 8, at::kFloat);
  const at::Tensor pixels = normal({2, 3, 16, 16}, at::kFloat, 1);
  const auto plain = test::tower_gradients(model, pixels, false), kept = test::tower_gradients(model, pixels, true);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(at::equal(plain[i], kept[i])) << i;
}

TEST(VisionTransformer, CostCountsItsParameters) {
  for (VisionConfig config : {tower(false), tower(true), with_stem()}) {
    for (const int64_t layer : {-1, -2, 0}) {
      config.feature_layers = {layer};
      const VisionTransformer model(config);
      Workload work;
      EXPECT_EQ(model.cost(work).parameters, nn::count_parameters(model));
      work.tiles = {{16, 16}};
      const Cost one = model.cost(work);
      EXPECT_EQ(one.parameters, nn::count_parameters(model));
      work.tiles = {{16, 16}, {16, 16}};
      work.batch = 3;
      const Cost six = model.cost(work);
      EXPECT_EQ(six.parameters, one.parameters);
      EXPECT_DOUBLE_EQ(six.flops, 6 * one.flops);
    }
  }
}

TEST(VisionTransformer, CostCountsTheFlopsOfItsProducts) {
  VisionConfig config = tower(false);
  Workload work;
  work.tiles = {{16, 16}};
  const double rows = 16, width = 16;
  const double block = 2 * rows * width * (4 * width + 2 * 24) + 4 * rows * rows * width;
  const double patches = 2 * rows * width * 3 * 16;
  config.feature_layers = {-1};
  const double three = VisionTransformer(config).cost(work).flops;
  // Norms and biases come on top, and are small.
  EXPECT_GE(three, 3 * block + patches);
  EXPECT_LE(three, 1.1 * (3 * block + patches));
  config.feature_layers = {1};
  EXPECT_LE(VisionTransformer(config).cost(work).flops, three - 2 * block);
}

}  // namespace
}  // namespace ocelli::vision
