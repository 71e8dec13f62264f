#include "ocelli/report/axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ocelli/base/error.h"

namespace ocelli::report {
namespace {

using testing::ElementsAre;

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> out;
  for (const Tick& tick : axis.ticks()) out.push_back(tick.label);
  return out;
}

TEST(Axis, TicksAreRoundNumbersAroundTheData) {
  EXPECT_THAT(labels(Axis({}, 0.03, 2.31, 5)), ElementsAre("0", "0.5", "1.0", "1.5", "2.0", "2.5"));
  EXPECT_THAT(labels(Axis({}, 0, 48248, 5)), ElementsAre("0", "10 k", "20 k", "30 k", "40 k", "50 k"));
  EXPECT_THAT(labels(Axis({}, -1, 1, 4)), ElementsAre("-1.0", "-0.5", "0", "0.5", "1.0"));
  EXPECT_THAT(labels(Axis({}, 0, 7e-4, 4)), ElementsAre("0", "2e-4", "4e-4", "6e-4", "8e-4"));
  EXPECT_THAT(labels(Axis({}, 0, 0.3, 3)), ElementsAre("0", "0.1", "0.2", "0.3"));  // 3 * 0.1 > 0.3 in binary
}

TEST(Axis, FixedEndsStay) {
  const Axis axis({.low = 0, .high = 100}, 83.2, 99.1, 5);
  EXPECT_EQ(axis.low(), 0);
  EXPECT_EQ(axis.high(), 100);
  EXPECT_EQ(axis.position(25), 0.25);
  EXPECT_THAT(labels(Axis({.low = 3, .high = 17}, 3, 17, 4)), ElementsAre("5", "10", "15"));
}

TEST(Axis, LogarithmicTicksAreDecadesOrTheirParts) {
  EXPECT_THAT(labels(Axis({.log = true}, 0.02, 900, 5)), ElementsAre("0.01", "0.1", "1", "10", "100", "1000"));
  EXPECT_THAT(labels(Axis({.log = true}, 0.3, 4, 5)), ElementsAre("0.2", "0.5", "1", "2", "5"));
  EXPECT_THAT(labels(Axis({.log = true}, 1e-5, 1e-3, 3)), ElementsAre("1e-5", "1e-4", "0.001"));
  const Axis axis({.log = true}, 1, 100, 3);
  EXPECT_NEAR(axis.position(10), 0.5, 1e-12);
  EXPECT_FALSE(axis.holds(0));
}

TEST(Axis, OneValueStillMakesARange) {
  for (const bool log : {false, true}) {
    const Axis axis({.log = log}, 5, 5, 5);
    EXPECT_LT(axis.low(), axis.high());
    EXPECT_GE(axis.ticks().size(), 2U);
  }
  EXPECT_LT(Axis({}, 0, 0, 5).low(), Axis({}, 0, 0, 5).high());
  EXPECT_EQ(Axis({.low = 0}, -3, -2, 5).low(), 0);
}

TEST(Axis, ImpossibleEndsAreErrors) {
  EXPECT_THROW(Axis({.low = 3, .high = 3}, 0, 1, 5), Error);
  EXPECT_THROW(Axis({.log = true, .low = 0}, 1, 2, 5), Error);
}

}  // namespace
}  // namespace ocelli::report
