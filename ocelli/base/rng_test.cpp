#include "ocelli/base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "ocelli/base/error.h"

namespace ocelli {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers of Random123 1.14 (tests/kat_vectors, "philox4x32 10").
TEST(Rng, GivesThePublishedAnswers) {
  EXPECT_EQ(Rng(0, 0).block(0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Rng(~0ULL, ~0ULL).block(~0ULL), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  const Rng pi(0x299f31d0a4093822, 0x0370734413198a2e);
  EXPECT_EQ(pi.block(0x85a308d3243f6a88), (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, StreamsOfDifferentNamesDiffer) {
  EXPECT_EQ(Rng::named(7, "init").bits(3), Rng::named(7, "init").bits(3));
  EXPECT_NE(Rng::named(7, "init").bits(3), Rng::named(7, "order").bits(3));
  EXPECT_NE(Rng::named(7, "init").bits(3), Rng::named(8, "init").bits(3));
}

// A run resumed by a later build must draw the same numbers.
TEST(Rng, NamedStreamStaysTheSameForever) {
  EXPECT_EQ(Rng::named(0, "order").stream(), 0x51d750b57b609679ULL);
}

TEST(Rng, UniformFillsItsRangeEvenly) {
  const Rng rng(1);
  constexpr int kDraws = 100000;
  std::array<int, 10> bins{};
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.uniform(static_cast<uint64_t>(i));
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    ++bins[static_cast<size_t>(value * 10)];
  }
  for (const int count : bins) EXPECT_NEAR(count, kDraws / 10, 500);  // 5 standard deviations
}

TEST(Rng, NormalHasMeanZeroAndVarianceOne) {
  const Rng rng(2);
  constexpr int kDraws = 200000;
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.normal(static_cast<uint64_t>(i));
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.012);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.016);
  EXPECT_NEAR(fourth / kDraws, 3.0, 0.12);
}

TEST(Rng, BelowReachesEveryValueAndNoMore) {
  const Rng rng(3);
  std::array<int, 7> counts{};
  for (uint64_t i = 0; i < 70000; ++i) {
    const uint64_t value = rng.below(i, counts.size());
    ASSERT_LT(value, counts.size());
    ++counts[value];
  }
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  EXPECT_EQ(rng.below(9, 1), 0U);
  EXPECT_THROW(rng.below(9, 0), Error);
}

TEST(Rng, PermutationHoldsEachNumberOnce) {
  auto order = Rng(4).permutation(1000);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  EXPECT_TRUE(Rng(4).permutation(0).empty());
  EXPECT_NE(Rng(4).permutation(100, 0), Rng(4).permutation(100, 100));
}

TEST(Rng, PermutationReachesAllOrders) {
  std::array<int, 6> counts{};
  for (uint64_t i = 0; i < 6000; ++i) {
    const auto order = Rng(5, i).permutation(3);
    ++counts[static_cast<size_t>(order[0] * 2 + (order[1] > order[2] ? 1 : 0))];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
}

TEST(Rng, FilledValueDependsOnItsIndexAlone) {
  const Rng rng(6);
  std::array<float, 10> whole{};
  std::array<float, 4> part{};
  rng.fill_normal(whole.data(), 10, 0.02F, 100);
  rng.fill_normal(part.data(), 4, 0.02F, 106);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 6));
  EXPECT_EQ(whole[3], static_cast<float>(rng.normal(103) * static_cast<double>(0.02F)));
  rng.fill_uniform(whole.data(), 10, -1, 3, 100);
  rng.fill_uniform(part.data(), 4, -1, 3, 106);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 6));
  for (const float value : whole) {
    EXPECT_GE(value, -1.0F);
    EXPECT_LT(value, 3.0F);
  }
  EXPECT_EQ(std::set<float>(whole.begin(), whole.end()).size(), 10U);
}

}  // namespace
}  // namespace ocelli
