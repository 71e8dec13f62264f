#include "ocelli/nn/cross_entropy.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace ocelli::nn
