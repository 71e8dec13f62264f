#include "ocelli/base/cost.h"

#include <gtest/gtest.h>

namespace ocelli {
namespace {

TEST(Cost, LinearCountsAMultiplyAddAsTwo) {
  const Cost cost = linear_cost(10, 3, 5, true, {.weight_bytes = 2, .activation_bytes = 4});
  EXPECT_EQ(cost.parameters, 3 * 5 + 5);
  EXPECT_EQ(cost.flops, 2.0 * 10 * 3 * 5);
  EXPECT_EQ(cost.weight_bytes, 2.0 * 20);
  EXPECT_EQ(cost.activation_bytes, 4.0 * 10 * (3 + 5));
  EXPECT_EQ(cost.cache_bytes, 0.0);
  EXPECT_EQ(linear_cost(10, 3, 5, false, {}).parameters, 15);
}

TEST(Cost, AddsEveryField) {
  const Cost a{1, 2, 3, 4, 5};
  const Cost sum = a + a;
  EXPECT_EQ(sum.parameters, 2);
  EXPECT_EQ(sum.flops, 4);
  EXPECT_EQ(sum.weight_bytes, 6);
  EXPECT_EQ(sum.activation_bytes, 8);
  EXPECT_EQ(sum.cache_bytes, 10);
}

TEST(Cost, TimesKeepsParametersAndWeights) {
  const Cost twice = Cost{1, 2, 3, 4, 5} * 2.0;
  EXPECT_EQ(twice.parameters, 1);
  EXPECT_EQ(twice.weight_bytes, 3);
  EXPECT_EQ(twice.flops, 4);
  EXPECT_EQ(twice.activation_bytes, 8);
  EXPECT_EQ(twice.cache_bytes, 10);
}

TEST(Ledger, KeepsTheOrderAndSums) {
  Ledger ledger;
  ledger.add("vision", {1, 10, 0, 0, 0});
  ledger.add("decoder", {2, 20, 0, 0, 7});
  ledger.add("vision", {3, 30, 0, 0, 0});
  ASSERT_EQ(ledger.rows().size(), 3U);
  EXPECT_EQ(ledger.rows()[1].first, "decoder");
  EXPECT_EQ(ledger.total().flops, 60);
  const Json json = ledger.to_json();
  EXPECT_EQ(json["vision"]["flops"], 40.0);
  EXPECT_EQ(json["vision"]["parameters"], 4);
  EXPECT_EQ(json["total"]["cache_bytes"], 7.0);
  EXPECT_EQ(json.size(), 3U);
}

}  // namespace
}  // namespace ocelli
