#include "ocelli/data/dataset_stats.h"

#include <gtest/gtest.h>

#include "ocelli/data/test_samples.h"

namespace ocelli::data {
namespace {

using testing::asked;
using testing::MadeDataset;

std::vector<Sample> many(int64_t count) {
  std::vector<Sample> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(asked(std::to_string(i), "two words", i % 10 == 0 ? "" : "one"));
  return out;
}

TEST(DatasetStats, CountsAllWhenAsked) {
  const SourceStats stats = count_source(MadeDataset(many(50)), {.limit = 0, .threads = 2});
  EXPECT_TRUE(stats.all_seen());
  EXPECT_EQ(stats.faults, 5);
  EXPECT_EQ(stats.turns, 90);
  EXPECT_EQ(stats.words, 3 * 45);
  EXPECT_DOUBLE_EQ(stats.total(90), 90);
  EXPECT_EQ(stats.first_fault, "made, record 0: turn 1: the answer is empty");
}

TEST(DatasetStats, EstimatesFromADrawThatTheSeedDecides) {
  const MadeDataset data(many(1000));
  const SourceStats stats = count_source(data, {.limit = 200, .threads = 2});
  EXPECT_EQ(stats.looked_at, 200);
  EXPECT_FALSE(stats.all_seen());
  EXPECT_NEAR(stats.total(static_cast<double>(stats.words)), 2700, 200);
  EXPECT_EQ(stats.words, count_source(data, {.limit = 200, .threads = 1}).words);
  EXPECT_NE(stats.first_fault, count_source(data, {.limit = 200, .seed = 2}).first_fault);
  EXPECT_EQ(stats.to_json()["estimated"], true);
}

}  // namespace
}  // namespace ocelli::data
