#include "ocelli/base/log.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace ocelli {
namespace {

class LogTest : public testing::Test {
 protected:
  ~LogTest() override { log::set_level(before_); }
  const log::Level before_ = log::level();
};

TEST_F(LogTest, WritesLinesOfTheLevelAndAbove) {
  log::set_level(log::Level::kWarning);
  testing::internal::CaptureStderr();
  log::info("not {}", 1);
  log::warning("number {}", 2);
  log::error("number {}", 3);
  log::write(log::Level::kDebug, "neither");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: number 2\nerror: number 3\n");
}

TEST_F(LogTest, InfoIsPlainAndOffIsSilent) {
  log::set_level(log::Level::kInfo);
  testing::internal::CaptureStderr();
  log::info("hello");
  log::set_level(log::Level::kOff);
  log::error("nothing");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "hello\n");
}

TEST_F(LogTest, LinesOfThreadsDontMix) {
  log::set_level(log::Level::kInfo);
  testing::internal::CaptureStderr();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 100; ++i) log::info("a line of text");
      });
    }
  }
  std::string expected;
  for (int i = 0; i < 400; ++i) expected += "a line of text\n";
  EXPECT_EQ(testing::internal::GetCapturedStderr(), expected);
}

}  // namespace
}  // namespace ocelli
