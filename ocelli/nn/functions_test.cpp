// The fused functions against plain ATen autograd: norm, activation, rope, cross-entropy.
#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/activation.h"
#include "ocelli/nn/cross_entropy.h"
#include "ocelli/nn/norm.h"
#include "ocelli/nn/rope.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::nn {
namespace {

using test::agree;
using test::error_of;
using test::normal;
using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// `ours` over inputs of `dtype` equals `plain` over the same in fp64, in value and in every gradient.
void expect_same(const Function& ours, const Function& plain, const std::vector<at::Tensor>& values, at::ScalarType dtype,
                 double tolerance) {
  std::vector<at::Tensor> given, wanted;
  for (const at::Tensor& value : values) {
    given.push_back(value.detach().to(dtype, false, true).requires_grad_(true));
    wanted.push_back(given.back().detach().to(at::kDouble, false, true).requires_grad_(true));
  }
  const at::Tensor got = ours(given), expected = plain(wanted);
  EXPECT_TRUE(agree(got, expected, tolerance));
  const at::Tensor outer = normal(expected.sizes(), at::kDouble, 99);
  const auto gradients = torch::autograd::grad({got}, given, {outer.to(got.scalar_type())});
  const auto expected_gradients = torch::autograd::grad({expected}, wanted, {outer});
  for (size_t i = 0; i < given.size(); ++i) {
    EXPECT_TRUE(agree(gradients[i], expected_gradients[i], tolerance))
        << "gradient of input " << i << ", " << c10::toString(dtype);
  }
}

const std::pair<at::ScalarType, double> kPrecisions[] = {{at::kDouble, 1e-12}, {at::kFloat, 1e-5}, {at::kBFloat16, 3e-2}};

TEST(RmsNorm, EqualsThePlainFormula) {
  for (const auto& [dtype, tolerance] : kPrecisions) {
    for (const auto& [rows, width] : {std::pair<int64_t, int64_t>{1, 4}, {3, 7}, {300, 96}, {5, 130}}) {
      RmsNorm norm(width, 1e-5);
      const Parameter declared = norm.declared()[0];
      const auto ours = [&](const std::vector<at::Tensor>& x) {
        // The module's own parameter takes the place of the second input.
        fill("weight", declared, x[1].detach());
        const at::Tensor y = norm.forward(x[0]);
        return y + 0 * x[1].sum();
      };
      const auto plain = [&](const std::vector<at::Tensor>& x) {
        return x[0] * at::rsqrt(x[0].square().mean({-1}, true) + 1e-5) * x[1].detach() + 0 * x[1].sum();
      };
      const at::Tensor x = normal({rows, width}, at::kDouble, 1), weight = normal({width}, at::kDouble, 2);
      expect_same(ours, plain, {x, weight}, dtype, tolerance);
      // … and its gradient.
      const at::Tensor outer = normal({rows, width}, at::kDouble, 3).to(dtype);
      test::clear_gradients(norm);
      norm.forward(x.to(dtype)).backward(outer);
      const at::Tensor input = x.to(dtype).to(at::kDouble);
      const at::Tensor expected = (input * at::rsqrt(input.square().mean({-1}, true) + 1e-5) * outer.to(at::kDouble)).sum(0);
      EXPECT_TRUE(agree(norm.parameters()[0].grad(), expected, tolerance)) << c10::toString(dtype);
    }
  }
}

TEST(RmsNorm, TakesAnyLeadingShapeAndStride) {
  RmsNorm norm(6, 1e-6);
  test::randomize(norm, 1, at::kDouble);
  const at::Tensor x = normal({6, 4, 3}, at::kDouble, 1);
  const at::Tensor turned = x.permute({2, 1, 0});
  EXPECT_TRUE(at::equal(norm.forward(turned), norm.forward(turned.contiguous())));
  EXPECT_EQ(norm.forward(at::empty({0, 6}, at::kDouble)).size(0), 0);
}

TEST(Swiglu, EqualsSiluTimesUp) {
  const auto plain = [](const std::vector<at::Tensor>& x) { return x[0] * at::sigmoid(x[0]) * x[1]; };
  const auto ours = [](const std::vector<at::Tensor>& x) { return swiglu(x[0], x[1]); };
  const auto strided = [](const std::vector<at::Tensor>& x) { return swiglu(x[0].t(), x[1].t()).t(); };
  for (const auto& [dtype, tolerance] : kPrecisions) {
    for (const int64_t rows : {1, 3, 400}) {
      const at::Tensor gate = normal({rows, 97}, at::kDouble, 1) * 4, up = normal({rows, 97}, at::kDouble, 2);
      expect_same(ours, plain, {gate, up}, dtype, tolerance);
      expect_same(strided, plain, {gate, up}, dtype, tolerance);
    }
  }
  // Far out the sigmoid is 0 or 1, never NaN.
  const at::Tensor far = at::tensor({-1e4, 1e4, -88.0, 88.0}, at::kFloat);
  EXPECT_TRUE(agree(swiglu(far, at::ones({4})), at::tensor({0.0, 1e4, 0.0, 88.0}), 1e-6));
}

TEST(Activation, NamesGoBothWays) {
  for (const Activation one :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kQuickGelu, Activation::kSilu, Activation::kRelu}) {
    EXPECT_EQ(activation_from_name(name_of(one)), one);
  }
  EXPECT_EQ(activation_from_name("gelu_new"), Activation::kGeluTanh);
  EXPECT_EQ(activation_from_name("swish"), Activation::kSilu);
  EXPECT_EQ(error_of([] { activation_from_name("mish"); }),
            "activation \"mish\" is not known; known are gelu, gelu_pytorch_tanh, gelu_new, quick_gelu, silu, swish, relu");
}

TEST(Activation, EqualsItsFormula) {
  const at::Tensor x = normal({50}, at::kDouble, 1) * 3;
  EXPECT_TRUE(agree(activate(Activation::kGelu, x), x * 0.5 * (1 + at::erf(x / std::sqrt(2.0))), 1e-12));
  EXPECT_TRUE(agree(activate(Activation::kGeluTanh, x), x * 0.5 * (1 + at::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x.pow(3)))),
                    1e-12));
  EXPECT_TRUE(agree(activate(Activation::kQuickGelu, x), x / (1 + at::exp(-1.702 * x)), 1e-12));
  EXPECT_TRUE(agree(activate(Activation::kSilu, x), x / (1 + at::exp(-x)), 1e-12));
  EXPECT_TRUE(agree(activate(Activation::kRelu, x), x.clamp_min(0), 0));
}

TEST(Rope, RotatesPairsByPositionTimesFrequency) {
  const at::Tensor positions = at::tensor({0, 1, 2, 0, 17, 4000, 3}, at::kLong);
  const int64_t width = 10;
  const auto plain = [&](const std::vector<at::Tensor>& x) {
    std::vector<at::Tensor> first, second;
    for (int64_t e = 0; e < width / 2; ++e) {
      const at::Tensor angle =
          positions.to(at::kDouble) * std::pow(10000.0, -2.0 * static_cast<double>(e) / static_cast<double>(width));
      const at::Tensor cosine = angle.cos().unsqueeze(1), sine = angle.sin().unsqueeze(1);
      const at::Tensor a = x[0].select(2, e), b = x[0].select(2, e + width / 2);
      first.push_back(a * cosine - b * sine);
      second.push_back(b * cosine + a * sine);
    }
    first.insert(first.end(), second.begin(), second.end());
    return at::stack(first, 2);
  };
  const at::Tensor x = normal({7, 3, width}, at::kDouble, 1);
  for (const auto& [dtype, tolerance] : kPrecisions) {
    // An fp32 angle of 4000 is off by 2^-12 of a turn's radian, so fp32 is held to that.
    const auto ours = [&, type = dtype](const std::vector<at::Tensor>& in) {
      return apply_rope(in[0], rope_table(positions, {.rotary_width = width}, 0, type == at::kDouble ? at::kDouble : at::kFloat));
    };
    expect_same(ours, plain, {x}, dtype, dtype == at::kFloat ? 3e-4 : tolerance);
  }
  EXPECT_TRUE(at::equal(apply_rope(x, rope_table(at::zeros({7}, at::kLong), {.rotary_width = width}, 0, at::kDouble)), x));
}

TEST(Rope, ThreeEqualRowsOfPositionsTurnAsOne) {
  const int64_t width = 12;
  const at::Tensor positions = at::arange(5, at::kLong) * 3;
  const at::Tensor x = normal({5, 2, width}, at::kFloat, 3);
  RopeConfig mrope{.rotary_width = width};
  mrope.mrope_section = {1, 3, 2};
  const at::Tensor one = apply_rope(x, rope_table(positions, {.rotary_width = width}, 0, at::kFloat));
  EXPECT_TRUE(at::equal(apply_rope(x, rope_table(positions.expand({3, 5}), mrope, 0, at::kFloat)), one));
}

TEST(LinearCrossEntropy, EqualsLogSoftmaxOfTheLogits) {
  struct Shape {
    int64_t rows, width, vocabulary;
  };
  // With the last vocabulary a chunk holds 13 rows, so 30 rows are three chunks.
  for (const Shape& shape : {Shape{1, 4, 2}, Shape{40, 12, 57}, Shape{30, 3, 300'007}}) {
    const Rng rng(static_cast<uint64_t>(shape.rows));
    std::vector<int64_t> targets;
    for (int64_t i = 0; i < shape.rows; ++i) {
      targets.push_back(static_cast<int64_t>(rng.below(static_cast<uint64_t>(i), static_cast<uint64_t>(shape.vocabulary))));
    }
    targets[0] = shape.vocabulary - 1;
    const at::Tensor labels = at::tensor(targets, at::kLong);
    at::Tensor scale = normal({shape.rows}, at::kDouble, 5).abs();
    if (shape.rows > 1) scale[1] = 0;
    const auto losses = [&](const at::Tensor& hidden, const at::Tensor& weight) {
      return -at::log_softmax(at::matmul(hidden, weight.t()), -1).gather(1, labels.unsqueeze(1)).squeeze(1);
    };
    const at::Tensor hidden = normal({shape.rows, shape.width}, at::kDouble, 1),
                     weight = normal({shape.vocabulary, shape.width}, at::kDouble, 2);
    for (const auto& [dtype, tolerance] : kPrecisions) {
      at::Tensor row_losses;
      const auto ours = [&, type = dtype](const std::vector<at::Tensor>& x) {
        return linear_cross_entropy(x[0], x[1], labels, scale.to(type == at::kDouble ? at::kDouble : at::kFloat), &row_losses);
      };
      const auto plain = [&](const std::vector<at::Tensor>& x) { return (scale * losses(x[0], x[1])).sum(); };
      expect_same(ours, plain, {hidden, weight}, dtype, tolerance);
      EXPECT_TRUE(agree(row_losses, losses(hidden.to(dtype).to(at::kDouble), weight.to(dtype).to(at::kDouble)), tolerance));
      EXPECT_FALSE(row_losses.requires_grad());
    }
  }
}

TEST(LinearCrossEntropy, NoRowsIsNoLoss) {
  const at::Tensor weight = normal({5, 3}, at::kFloat, 1).requires_grad_(true);
  const at::Tensor loss = linear_cross_entropy(at::empty({0, 3}), weight, at::empty({0}, at::kLong), at::empty({0}));
  loss.backward();
  EXPECT_EQ(loss.item<float>(), 0);
  EXPECT_TRUE(at::equal(weight.grad(), at::zeros({5, 3})));
}

TEST(LinearCrossEntropy, NamesWhatDoesNotFit) {
  const at::Tensor hidden = at::zeros({2, 3}), weight = at::zeros({5, 3}), scale = at::ones({2});
  EXPECT_EQ(error_of([&] {
              linear_cross_entropy(hidden, weight, at::tensor({0, 5}, at::kLong), scale);
            }),
            "cross-entropy: labels run from 0 to 5, the vocabulary has 5 entries");
  EXPECT_EQ(error_of([&] {
              linear_cross_entropy(hidden, weight, at::tensor({-100, 1}, at::kLong), scale);
            }),
            "cross-entropy: labels run from -100 to 1, the vocabulary has 5 entries");
  EXPECT_EQ(error_of([&] { linear_cross_entropy(hidden, weight, at::tensor({1}, at::kLong), scale); }),
            "cross-entropy: hidden 2x3, weight 5x3, 1 labels and 2 scales do not go together");
}

}  // namespace
}  // namespace ocelli::nn
