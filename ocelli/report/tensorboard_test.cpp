#include "ocelli/report/tensorboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/report/crc32c.h"

namespace ocelli::report {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::SizeIs;

class EventFolder : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(folder); }
  void TearDown() override { fs::remove_all(folder); }

  std::vector<fs::path> files() const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(folder)) out.push_back(entry.path());
    return out;
  }
  /// Bytes of a file with scalars for these steps; the first writer's when the folder is empty.
  void write_steps(const std::vector<int64_t>& steps) {
    EventWriter writer(folder);
    for (const int64_t step : steps)
      writer.scalar("loss", static_cast<double>(step) / 2, step, 1000.0 + static_cast<double>(step));
  }
  static void write_raw(const fs::path& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

  fs::path folder = fs::path(testing::TempDir()) /
                    (std::string("ocelli_events_") + testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST(Crc32c, MatchesTheVectorsOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
}

TEST(Crc32c, MasksAsTheTensorboardPackageDoes) {
  EXPECT_EQ(masked_crc32c("123456789"), 0xC78AB0E5U);
}

TEST_F(EventFolder, AFileBeginsWithItsVersion) {
  write_steps({});
  ASSERT_THAT(files(), SizeIs(1));
  EXPECT_THAT(files()[0].filename().string(), testing::MatchesRegex("events\\.out\\.tfevents\\.[0-9]+\\..+\\.[0-9]+"));
  const std::string bytes = read_file(files()[0]);
  // Event{1: double wall_time (9 bytes), 3: "brain.Event:2" (15 bytes)} framed by 12 and 4.
  ASSERT_EQ(bytes.size(), 12U + 24U + 4U);
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x18\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(bytes.substr(21, 15),
            "\x1a\x0d"
            "brain.Event:2");
}

TEST_F(EventFolder, WritersOfOneSecondGetFilesOfTheirOwn) {
  EventWriter first(folder), second(folder), third(folder);
  EXPECT_THAT(files(), SizeIs(3));
}

TEST_F(EventFolder, TruncationGivesTheFileThatStopped) {
  write_steps({1, 2, 3});
  const std::string expected = read_file(files()[0]).substr(40);
  fs::remove_all(folder);
  write_steps({1, 2, 3, 4, 5});
  truncate_events_after(folder, 3);
  EXPECT_EQ(read_file(files()[0]).substr(40), expected);
  truncate_events_after(folder, 3);
  EXPECT_EQ(read_file(files()[0]).substr(40), expected);
}

TEST_F(EventFolder, TruncationFiltersStepsOutOfOrder) {
  write_steps({1, 2});
  const std::string expected = read_file(files()[0]).substr(40);
  fs::remove_all(folder);
  write_steps({1, 9, 2, 8});
  truncate_events_after(folder, 2);
  EXPECT_EQ(read_file(files()[0]).substr(40), expected);
}

TEST_F(EventFolder, TruncationDropsTornAndDamagedEnds) {
  write_steps({1, 2, 3});
  const fs::path path = files()[0];
  const std::string whole = read_file(path);
  fs::remove_all(folder);
  write_steps({1, 2});
  const size_t two = read_file(files()[0]).size();
  for (size_t cut = two + 1; cut < whole.size(); ++cut) {
    write_raw(path, whole.substr(0, cut));
    truncate_events_after(folder, 100);
    ASSERT_EQ(read_file(path), whole.substr(0, two)) << cut;
  }
  std::string damaged = whole;
  damaged[two + 14] = static_cast<char>(damaged[two + 14] ^ 1);
  write_raw(path, damaged);
  truncate_events_after(folder, 100);
  EXPECT_EQ(read_file(path), whole.substr(0, two));
}

TEST_F(EventFolder, TruncationRemovesFilesLeftWithoutEventsAndOldTemporaries) {
  write_steps({5, 6});
  write_raw(folder / "events.out.tfevents.1.host.2.tmp-77", "half");
  write_raw(folder / "metrics.jsonl", "{}\n");
  truncate_events_after(folder, 4);
  ASSERT_THAT(files(), SizeIs(1));
  EXPECT_EQ(files()[0].filename(), "metrics.jsonl");
  truncate_events_after(folder / "absent", 4);
}

TEST_F(EventFolder, AFolderThatCantBeMadeIsNamed) {
  fs::create_directories(folder);
  write_raw(folder / "file", "");
  try {
    EventWriter writer(folder / "file" / "events");
    FAIL() << "a writer in a folder that can't be";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("file"));
  }
}

// What tests/parity/test_tensorboard.py reads back with the tensorboard package; it knows these values.
TEST(EventWriter, WritesGoldenFolder) {
  const char* out = std::getenv("OCELLI_TEST_OUT");
  if (out == nullptr) GTEST_SKIP() << "OCELLI_TEST_OUT names no folder";
  {
    EventWriter writer(out);
    for (int64_t step = 0; step < 2000; ++step) {
      writer.scalars(
          {{"train/loss", 3.0 / static_cast<double>(step + 1)}, {"train/learning_rate", 1e-4 * static_cast<double>(step)}}, step,
          1.7e9 + static_cast<double>(step) * 0.25);
    }
    writer.scalar("edge/nan", std::numeric_limits<double>::quiet_NaN(), 1, 1.7e9);
    writer.scalar("edge/infinity", -std::numeric_limits<double>::infinity(), 1, 1.7e9);
    writer.scalar("größe/猫", 1, 1, 1.7e9);
    writer.scalar("edge/later", 1, int64_t{1} << 40, 1.7e9);
    writer.text("recipe", "**bold** größe\n\n    [train]\n", 7, 1.7e9);
  }
  // A run that went on from step 1499: events behind it are cut, a second file follows.
  truncate_events_after(out, 1499);
  EventWriter resumed(out);
  for (int64_t step = 1500; step < 1510; ++step) resumed.scalar("train/loss", -1, step, 1.7e9 + 1000);
}

}  // namespace
}  // namespace ocelli::report
