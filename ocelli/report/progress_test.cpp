#include "ocelli/report/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ocelli/base/log.h"
#include "ocelli/report/format.h"

namespace ocelli::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

/// A progress with a clock and a screen of its own.
struct Stage {
  double now = 100;
  std::vector<std::string> written;
  ProgressOptions options(bool terminal) {
    return {.unit = "samples",
            .write = [this](std::string_view text) { written.emplace_back(text); },
            .clock = [this] { return now; },
            .terminal = terminal,
            .color = false,
            .unicode = true,
            .columns = 100};
  }
};

TEST(Progress, WithoutTerminalWritesPlainLinesNowAndThen) {
  Stage stage;
  Progress progress("train", 1000, stage.options(false));
  for (int done = 1; done <= 200; ++done) {
    stage.now += 0.125;  // exact in binary
    progress.update(done, "loss 0.5");
  }
  EXPECT_THAT(stage.written, ElementsAre("train: 80/1,000 samples (8 %), 8.00/s, ETA 1 min 55 s, loss 0.5\n",
                                         "train: 160/1,000 samples (16 %), 8.00/s, ETA 1 min 45 s, loss 0.5\n"));
  progress.finish("loss 0.1");
  progress.finish();
  progress.update(300);
  EXPECT_THAT(stage.written, SizeIs(3));
  EXPECT_EQ(stage.written.back(), "train: 200 samples in 25 s, 8.00 samples/s, loss 0.1\n");
}

TEST(Progress, LinesOfTheLogPushTheBarAside) {
  Stage stage;
  testing::internal::CaptureStderr();
  {
    Progress progress("train", 100, stage.options(true));
    progress.update(10);
    log::warning("left out");
    EXPECT_EQ(stage.written.back(), "\r\x1b[2K");
    progress.update(11);  // drawn again at once
    EXPECT_THAT(stage.written.back(), HasSubstr("11/100"));
  }
  const size_t count = stage.written.size();
  log::warning("after it");
  EXPECT_EQ(stage.written.size(), count);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: left out\nwarning: after it\n");
}

TEST(Progress, OnATerminalRedrawsOneLineAtMostTenTimesASecond) {
  Stage stage;
  Progress progress("train", 100, stage.options(true));
  progress.update(0);
  for (int done = 1; done <= 50; ++done) {
    stage.now += 0.01;
    progress.update(done, "loss 0.5");
  }
  EXPECT_LE(stage.written.size(), 6U);
  EXPECT_GE(stage.written.size(), 4U);
  for (const std::string& drawn : stage.written) {
    EXPECT_TRUE(drawn.starts_with("\r\x1b[2K"));
    EXPECT_THAT(drawn, Not(HasSubstr("\n")));
  }
  EXPECT_THAT(stage.written.back(), HasSubstr("█"));
  EXPECT_THAT(stage.written.back(), HasSubstr("/100 samples  100/s  ETA 1 s  loss 0.5"));
  progress.finish();
  EXPECT_EQ(stage.written.back(), "\r\x1b[2Ktrain: 50 samples in 500 ms, 100 samples/s\n");
}

TEST(Progress, FitsTheTerminalWhateverItsWidth) {
  for (int columns = 1; columns < 130; ++columns) {
    Stage stage;
    ProgressOptions options = stage.options(true);
    options.columns = columns;
    Progress progress("größe 猫", 1'000'000, options);
    stage.now += 1;
    progress.update(123'456, "loss 0.123");
    const std::string line = stage.written.back().substr(5);
    EXPECT_LT(display_width(line), columns) << line;
  }
}

TEST(Progress, ColoursOnlyWhenAsked) {
  for (const bool color : {false, true}) {
    Stage stage;
    ProgressOptions options = stage.options(true);
    options.color = color;
    Progress progress("train", 10, options);
    progress.update(5);
    EXPECT_EQ(stage.written.back().find("\x1b[36m") != std::string::npos, color);
  }
}

TEST(Progress, ObeysNoColor) {
  Stage stage;
  ProgressOptions options = stage.options(true);
  options.color.reset();
  ::setenv("NO_COLOR", "1", 1);
  Progress progress("train", 10, options);
  ::unsetenv("NO_COLOR");
  progress.update(5);
  EXPECT_EQ(stage.written.back().find("\x1b[36m"), std::string::npos);
}

TEST(Progress, RateLeavesOutWhatWasDoneBefore) {
  Stage stage;
  ProgressOptions options = stage.options(false);
  options.start = 900;
  Progress progress("train", 1000, options);
  stage.now += 10;
  progress.update(950);
  EXPECT_EQ(stage.written.back(), "train: 950/1,000 samples (95 %), 5.00/s, ETA 10 s\n");
}

TEST(Progress, RateIsOfTheLastHalfMinute) {
  Stage stage;
  Progress progress("train", 100'000, stage.options(false));
  for (int second = 1; second <= 100; ++second) {
    stage.now += 1;
    progress.update(second <= 50 ? second * 100 : 5000 + (second - 50) * 10);
  }
  EXPECT_THAT(stage.written.back(), HasSubstr(", 10.0/s"));
}

TEST(Progress, WithoutATotalCounts) {
  Stage stage;
  Progress progress("read", 0, stage.options(true));
  stage.now += 2;
  progress.update(5000);
  EXPECT_EQ(stage.written.back(), "\r\x1b[2Kread  5,000 samples  2,500/s");
}

TEST(Progress, AnUnfinishedBarEndsItsLine) {
  Stage stage;
  {
    Progress progress("train", 10, stage.options(true));
    progress.update(5);
  }
  EXPECT_EQ(stage.written.back(), "\n");
  Stage plain;
  { Progress progress("train", 10, plain.options(false)); }
  EXPECT_THAT(plain.written, IsEmpty());
}

TEST(Progress, ClearTakesTheBarAwayAndTheNextUpdateDrawsIt) {
  Stage stage;
  Progress progress("train", 10, stage.options(true));
  progress.update(5);
  progress.clear();
  EXPECT_EQ(stage.written.back(), "\r\x1b[2K");
  progress.update(5);
  EXPECT_THAT(stage.written.back(), HasSubstr("5/10"));
}

}  // namespace
}  // namespace ocelli::report
