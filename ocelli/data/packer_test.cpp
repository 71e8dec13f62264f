#include "ocelli/data/packer.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>
#include <random>

#include "ocelli/base/test_support.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ::testing::HasSubstr;

/// Lengths as LLaVA-1.5's mixture has them: 576 visual tokens and a short text, some text alone.
std::vector<PackItem> llava_like(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<PackItem> items(count);
  for (PackItem& item : items) {
    item.pictures = random() % 100 < 94 ? 1 : 0;
    const double text = item.pictures > 0 ? 596 + 90 * std::exp(0.9 * normal(random)) : 400 * std::exp(0.9 * normal(random));
    item.tokens = std::clamp<int64_t>(std::llround(text), 8, 2048);
  }
  return items;
}

void expect_packed(const std::vector<PackItem>& items, const PackLimits& limits) {
  const auto packs = pack(items, limits);
  std::vector<int> seen(items.size(), 0);
  int64_t last_first = -1;
  for (const auto& one : packs) {
    ASSERT_FALSE(one.empty());
    EXPECT_TRUE(std::is_sorted(one.begin(), one.end()));
    EXPECT_GT(one.front(), last_first);
    last_first = one.front();
    int64_t tokens = 0, pictures = 0;
    for (const int64_t i : one) {
      ++seen[static_cast<size_t>(i)];
      tokens += items[static_cast<size_t>(i)].tokens;
      pictures += items[static_cast<size_t>(i)].pictures;
    }
    if (one.size() > 1) {
      EXPECT_LE(tokens, limits.tokens);
      if (limits.pictures > 0) {
        EXPECT_LE(pictures, limits.pictures);
      }
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<int64_t>(items.size()));
}

TEST(Packer, EverySampleIsInOnePackAndNoPackIsTooFull) {
  std::mt19937_64 random(3);
  for (int trial = 0; trial < 300; ++trial) {
    const PackLimits limits{.tokens = static_cast<int64_t>(1 + random() % 300), .pictures = static_cast<int64_t>(random() % 6)};
    std::vector<PackItem> items(random() % 120);
    for (PackItem& item : items) {
      item.tokens = static_cast<int64_t>(random() % static_cast<uint64_t>(limits.tokens + limits.tokens / 8 + 1));
      item.pictures = static_cast<int64_t>(random() % 4);
    }
    expect_packed(items, limits);
  }
}

TEST(Packer, FillsFourThousandTokensWithLlavasLengths) {
  for (const uint64_t seed : {1, 2, 3}) {
    const std::vector<PackItem> items = llava_like(8192, seed);
    EXPECT_GE(fill(items, pack(items, {.tokens = 4096}), 4096), 0.98);
    EXPECT_GE(fill(items, pack(items, {.tokens = 4096, .pictures = 8}), 4096), 0.98);
  }
}

TEST(Packer, IsAsGoodAsThePerfectPackingWhereOneIsKnown) {
  // 6 + 4, 7 + 3, 5 + 5: any order of them fits three packs of ten.
  std::vector<PackItem> items = {{5, 0}, {3, 0}, {6, 0}, {5, 0}, {4, 0}, {7, 0}};
  EXPECT_EQ(pack(items, {.tokens = 10}).size(), 3U);
}

TEST(Packer, TooLongSamplesStandAlone) {
  const std::vector<PackItem> items = {{3, 0}, {12, 1}, {3, 0}};
  EXPECT_EQ(pack(items, {.tokens = 10}), (std::vector<std::vector<int64_t>>{{0, 2}, {1}}));
}

TEST(Packer, NamesWhatIsWrong) {
  const std::vector<PackItem> items = {{-1, 0}};
  EXPECT_THAT(error_of([&] { pack(items, {.tokens = 10}); }), HasSubstr("sample 0 has -1 tokens"));
  EXPECT_THAT(error_of([&] { pack({}, {.tokens = 0}); }), HasSubstr("0 tokens a pack"));
}

}  // namespace
}  // namespace ocelli::data
