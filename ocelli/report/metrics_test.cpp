#include "ocelli/report/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"

namespace ocelli::report {
namespace {

namespace fs = std::filesystem;
using testing::SizeIs;

class Metrics : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }
  void write(std::string_view text) const { std::ofstream(path, std::ios::binary | std::ios::trunc) << text; }

  fs::path folder = fs::path(testing::TempDir()) /
                    (std::string("ocelli_metrics_") + testing::UnitTest::GetInstance()->current_test_info()->name());
  fs::path path = folder / "metrics.jsonl";
};

TEST_F(Metrics, ALineIsThereAsSoonAsAppendReturns) {
  JsonLines lines(path);
  lines.append(OrderedJson{{"step", 1}, {"loss", 0.5}});
  EXPECT_EQ(read_file(path), "{\"step\":1,\"loss\":0.5}\n");
  lines.append(OrderedJson{{"step", 2}, {"loss", std::nan("")}, {"text", "a\nb\xFF"}});
  EXPECT_EQ(read_file(path), "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":null,\"text\":\"a\\nb\uFFFD\"}\n");
  EXPECT_THROW(lines.append(Json(3)), Error);
}

TEST_F(Metrics, NumbersComeBackBitForBit) {
  JsonLines lines(path);
  const double loss = 0.1 + 0.2;
  lines.append(Json{{"loss", loss}});
  EXPECT_EQ(read_json_lines(path)[0]["loss"].get<double>(), loss);
}

TEST_F(Metrics, ContinuingCutsATornLineAndEndsAWholeOne) {
  write("{\"step\":1}\n{\"step\":2,\"lo");
  JsonLines(path).append(Json{{"step", 2}});
  EXPECT_EQ(read_file(path), "{\"step\":1}\n{\"step\":2}\n");
  write("{\"step\":1}");
  JsonLines(path).append(Json{{"step", 2}});
  EXPECT_EQ(read_file(path), "{\"step\":1}\n{\"step\":2}\n");
  write("{\"st");
  JsonLines(path).append(Json{{"step", 2}});
  EXPECT_EQ(read_file(path), "{\"step\":2}\n");
}

TEST_F(Metrics, TruncationKeepsWhatIsNotAfterTheStep) {
  write("{\"format\":1}\n{\"step\":1,\"x\":\"a\"}\n{\"step\":3}\n{\"step\":2}\n{\"step\":4}\n{\"step\":2");
  truncate_lines_after(path, 2);
  EXPECT_EQ(read_file(path), "{\"format\":1}\n{\"step\":1,\"x\":\"a\"}\n{\"step\":2}\n");
}

TEST_F(Metrics, TruncationDropsDamagedLines) {
  write(std::string("{\"step\":1}\n") + std::string(20, '\0') + "\n[1]\n{\"step\":2}\n");
  truncate_lines_after(path, 9);
  EXPECT_EQ(read_file(path), "{\"step\":1}\n{\"step\":2}\n");
}

TEST_F(Metrics, TruncationLeavesAFileAloneThatHasNothingToLose) {
  write("{\"step\":1}\n");
  const auto before = fs::last_write_time(path);
  truncate_lines_after(path, 1);
  EXPECT_EQ(fs::last_write_time(path), before);
  truncate_lines_after(folder / "absent", 1);
  EXPECT_FALSE(fs::exists(folder / "absent"));
}

TEST_F(Metrics, ReadingToleratesOnlyATornEnd) {
  write("{\"step\":1}\n{\"step\":");
  EXPECT_THAT(read_json_lines(path), SizeIs(1));
  write("{\"step\":1}\nx\n{\"step\":2}\n");
  EXPECT_THROW(read_json_lines(path), Error);
}

TEST_F(Metrics, AnUnwritableFolderIsNamed) {
  EXPECT_THROW(JsonLines(folder / "absent" / "m.jsonl"), Error);
}

// /dev/full takes no byte: the disk that is full. Every append fails, with the reason.
TEST_F(Metrics, AFullDiskIsAnError) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  JsonLines lines("/dev/full");
  try {
    lines.append(Json{{"step", 1}});
    FAIL() << "wrote to a full disk";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("No space left"));
  }
}

}  // namespace
}  // namespace ocelli::report
