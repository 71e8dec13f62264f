#include "ocelli/kernels/vec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

// What is here runs with the vectors every target has; the wider ones are tested through the loops that use them.
namespace ocelli::kernels {
namespace {

/// Units in the last place between `got` and the true value.
double ulps(float got, double want) {
  const float nearest = static_cast<float>(want);
  return std::abs(static_cast<double>(got) - want) /
         (static_cast<double>(std::nextafter(nearest, INFINITY)) - static_cast<double>(nearest));
}

TEST(Exponential, IsWithinTwoUlpsWhereItIsNormal) {
  double worst = 0;
  for (float x = -87.3365f; x < 88.376f; x += 0.00037f)
    worst = std::max(worst, ulps(exponential(broadcast(x))[0], std::exp(double{x})));
  for (float x = 1e-30f; x < 1.0f; x *= 1.01f) {
    worst = std::max(worst, ulps(exponential(broadcast(x))[0], std::exp(double{x})));
    worst = std::max(worst, ulps(exponential(broadcast(-x))[0], std::exp(-double{x})));
  }
  EXPECT_LE(worst, 2.0);
}

TEST(Exponential, HasTheRightEnds) {
  EXPECT_EQ(exponential(broadcast(0.0f))[0], 1.0f);
  for (const float x : {-87.34f, -100.0f, -1e6f, -3e38f, -INFINITY}) EXPECT_EQ(exponential(broadcast(x))[0], 0.0f) << x;
  for (const float x : {89.0f, 1e6f, INFINITY}) {
    EXPECT_GT(exponential(broadcast(x))[0], 2.3e38f) << x;
    EXPECT_TRUE(std::isfinite(exponential(broadcast(x))[0])) << x;
  }
  EXPECT_TRUE(std::isnan(exponential(broadcast(NAN))[0]));
  EXPECT_EQ(exponential(broadcast(-1.5))[0], std::exp(-1.5));
}

TEST(Exponential, NeverFalls) {
  float last = 0;
  for (float x = -87.5f; x < 10.0f; x += 0.0013f) {
    const float y = exponential(broadcast(x))[0];
    EXPECT_GE(y, last) << x;
    last = y;
  }
}

template <typename T>
void expect_transposes() {
  Vec<T> v[kLanes<T>];
  for (int i = 0; i < kLanes<T>; ++i) {
    for (int j = 0; j < kLanes<T>; ++j) v[i][j] = static_cast<T>(i * 100 + j);
  }
  transpose<T>(v);
  for (int i = 0; i < kLanes<T>; ++i) {
    for (int j = 0; j < kLanes<T>; ++j) EXPECT_EQ(v[i][j], static_cast<T>(j * 100 + i));
  }
}

TEST(Vec, Transposes) {
  expect_transposes<float>();
  expect_transposes<double>();
}

TEST(Vec, TouchesOnlyTheFirstLanes) {
  for (int n = 1; n < kLanes<float>; ++n) {
    std::vector<float> from(static_cast<size_t>(n), 3.0f), to(static_cast<size_t>(n), 0.0f);
    const Vec<float> v = load_first(from.data(), n);
    for (int i = 0; i < kLanes<float>; ++i) EXPECT_EQ(v[i], i < n ? 3.0f : 0.0f);
    store_first(to.data(), v, n);
    EXPECT_EQ(to, from);
  }
}

}  // namespace
}  // namespace ocelli::kernels
