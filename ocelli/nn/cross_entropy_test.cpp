#include "ocelli/nn/cross_entropy.h"

#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/memory.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::nn {
namespace {

using test::normal;

TEST(LinearCrossEntropy, AFrozenHeadCostsNoGradientOfItsWeight) {
  const int64_t vocabulary = 50'000, width = 64;
  const at::Tensor weight = normal({vocabulary, width}, at::kFloat, 1), hidden = normal({4, width}, at::kFloat, 2);
  const at::Tensor labels = at::arange(4, at::kLong), scale = at::ones({4});
  const auto run = [&](bool trains) {
    const at::Tensor w = weight.clone().requires_grad_(trains), h = hidden.clone().requires_grad_(true);
    reset_peak_memory();
    const int64_t before = memory_use().live;
    linear_cross_entropy(h, w, labels, scale).backward();
    EXPECT_EQ(w.grad().defined(), trains);
    return std::pair{h.grad(), memory_use().peak - before};
  };
  const auto [trained, trained_bytes] = run(true);
  const auto [frozen, frozen_bytes] = run(false);
  EXPECT_TRUE(at::equal(trained, frozen));
  EXPECT_GE(trained_bytes, static_cast<int64_t>(weight.nbytes()));
  EXPECT_LT(frozen_bytes, static_cast<int64_t>(weight.nbytes()) / 2);
}

TEST(LinearCrossEntropy, AddsTheHeadsBias) {
  const int64_t rows = 3, width = 7, vocabulary = 1'500'000;  // several chunks
  const at::Tensor labels = at::tensor(std::vector<int64_t>{3, vocabulary - 1, 3}, at::kLong);
  const at::Tensor scale = normal({rows}, at::kDouble, 3).abs();
  const auto run = [&](bool fused) {
    at::Tensor hidden = normal({rows, width}, at::kDouble, 1).requires_grad_();
    at::Tensor weight = normal({vocabulary, width}, at::kDouble, 2).requires_grad_();
    at::Tensor bias = normal({vocabulary}, at::kDouble, 4).requires_grad_();
    at::Tensor row_losses, loss;
    if (fused) {
      loss = linear_cross_entropy(hidden, weight, labels, scale, &row_losses, bias);
    } else {
      row_losses = -at::log_softmax(at::linear(hidden, weight, bias), 1).gather(1, labels.unsqueeze(1)).squeeze(1);
      loss = (row_losses * scale).sum();
    }
    (loss * 2).backward();
    return std::vector<at::Tensor>{loss, row_losses, hidden.grad(), weight.grad(), bias.grad()};
  };
  const auto got = run(true), want = run(false);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(test::agree(got[i], want[i], 1e-12)) << i;
  const at::Tensor short_bias = at::zeros({4}), weight = at::zeros({5, 3});
  EXPECT_EQ(test::error_of([&] {
              linear_cross_entropy(at::zeros({1, 3}), weight, at::zeros({1}, at::kLong), at::ones({1}), nullptr, short_bias);
            }),
            "cross-entropy: bias 4, expected 5 numbers, as many as the weight has rows");
}

}  // namespace
}  // namespace ocelli::nn
