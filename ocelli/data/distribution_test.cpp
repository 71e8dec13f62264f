#include "ocelli/data/distribution.h"

#include <gtest/gtest.h>

#include <array>

namespace ocelli::data {
namespace {

TEST(Distribution, QuantilesAreValuesThatWereSeen) {
  Distribution values;
  for (const int64_t value : {5, 1, 1, 9}) values.add(value);
  EXPECT_EQ(values.count(), 4);
  EXPECT_DOUBLE_EQ(values.mean(), 4);
  EXPECT_EQ(values.quantile(0), 1);
  EXPECT_EQ(values.quantile(0.5), 1);
  EXPECT_EQ(values.quantile(0.75), 5);
  EXPECT_EQ(values.quantile(1), 9);
  EXPECT_EQ(values.above(1), 2);
  EXPECT_DOUBLE_EQ(values.sum_of_squares(), 25 + 1 + 1 + 81);
  EXPECT_EQ(Distribution().quantile(0.5), 0);
}

TEST(Distribution, BucketsKeepEmptyOnesInTheMiddleOnly) {
  Distribution values;
  for (const int64_t value : {1, 7, 8, 40}) values.add(value);
  constexpr std::array<int64_t, 6> kEdges = {0, 1, 2, 8, 16, 64};
  std::string text;
  for (const auto& bucket : values.buckets(kEdges)) text += bucket.label + ":" + std::to_string(bucket.count) + " ";
  EXPECT_EQ(text, "1:1 2-7:1 8-15:1 16-63:1 ");
  values = {};
  values.add(-3);
  values.add(100);
  text.clear();
  for (const auto& bucket : values.buckets(std::array<int64_t, 2>{0, 10}))
    text += bucket.label + ":" + std::to_string(bucket.count) + " ";
  EXPECT_EQ(text, "--1:1 0-9:0 10-:1 ");
  EXPECT_TRUE(Distribution().to_json(kEdges).is_null());
}

}  // namespace
}  // namespace ocelli::data
