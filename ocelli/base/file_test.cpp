#include "ocelli/base/file.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "ocelli/base/test_support.h"

namespace ocelli {
namespace {

using test::error_of;
using test::spill;
using test::TemporaryFolder;
using testing::HasSubstr;

std::string_view text_of(const MappedFile& map) {
  return {reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()};
}

/// No file of this process may grow beyond `bytes` while this lives: the system then refuses writes as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST(MappedFile, HoldsTheWholeFile) {
  const TemporaryFolder folder;
  spill(folder / "a", "hello");
  EXPECT_EQ(text_of(*MappedFile::open(folder / "a")), "hello");
}

TEST(MappedFile, EmptyFileIsZeroBytes) {
  const TemporaryFolder folder;
  spill(folder / "a", "");
  EXPECT_EQ(MappedFile::open(folder / "a")->bytes().size(), 0U);
}

TEST(MappedFile, KeepsItsBytesWhenTheFileIsReplaced) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a", "old text");
  const auto map = MappedFile::open(folder / "a");
  write_file_atomic(folder / "a", "new");
  EXPECT_EQ(text_of(*map), "old text");
  EXPECT_EQ(read_file(folder / "a"), "new");
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { MappedFile::open(folder.path()); }), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { MappedFile::open(folder / "absent"); }), HasSubstr("absent: can't open: No such file"));
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { MappedFile::open(folder / "fifo"); }),
              HasSubstr("is no regular file"));  // and doesn't wait for a writer
}

TEST(ReadFile, GivesAllBytesUpToTheLimit) {
  const TemporaryFolder folder;
  const std::string text("a\0b\xff", 4);
  spill(folder / "a", text);
  EXPECT_EQ(read_file(folder / "a", 4), text);
  EXPECT_THAT(error_of([&] { read_file(folder / "a", 3); }), HasSubstr("4 bytes, the limit is 3"));
}

TEST(ReadFile, ReadsFilesThatAnnounceNoSize) {
  EXPECT_THAT(read_file("/proc/self/status"), HasSubstr("VmPeak"));
  EXPECT_THAT(error_of([] { read_file("/proc/self/status", 10); }), HasSubstr("more than 10 bytes"));
}

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a");
  file.write("one ");
  file.write("two");
  EXPECT_EQ(file.bytes_written(), 7U);
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
  file.commit();
  EXPECT_EQ(read_file(folder / "a"), "one two");
  EXPECT_EQ(folder.size(), 1U);
}

TEST(AtomicFile, LeavesNothingWhenAbandoned) {
  const TemporaryFolder folder;
  spill(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new");
  }
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(folder.size(), 1U);
}

TEST(AtomicFile, TwoWritersOfOneNameDontMix) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "a");
  AtomicFile second(folder / "a");
  first.write("first");
  second.write("second");
  first.commit();
  second.commit();
  EXPECT_EQ(read_file(folder / "a"), "second");
  EXPECT_EQ(folder.size(), 1U);
}

TEST(AtomicFile, FullDiskNamesTheFileAndKeepsTheOldOne) {
  const TemporaryFolder folder;
  spill(folder / "a", "old");
  std::string message;
  {
    const FileSizeLimit limit(1000);
    message = error_of([&] { write_file_atomic(folder / "a", std::string(5000, 'x')); });
  }
  EXPECT_THAT(message, HasSubstr((folder / "a").string()));
  EXPECT_THAT(message, HasSubstr("after 1000 bytes: File too large"));
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(folder.size(), 1U);
}

TEST(AtomicFile, NamesTheReasonWhenTheFolderIsAbsent) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { write_file_atomic(folder / "no/a", "x"); }), HasSubstr("no/a: can't write: No such file"));
}

TEST(AtomicFile, DoesntReplaceAFolder) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "a");
  EXPECT_THAT(error_of([&] { write_file_atomic(folder / "a", "x"); }), HasSubstr("can't put the new file in place"));
  EXPECT_EQ(folder.size(), 1U);
}

TEST(MakeDirectories, MakesParentsAndAcceptsWhatExists) {
  const TemporaryFolder folder;
  make_directories(folder / "a/b/c");
  make_directories(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
}

TEST(MakeDirectories, NamesTheFileInTheWay) {
  const TemporaryFolder folder;
  spill(folder / "a", "");
  EXPECT_THAT(error_of([&] { make_directories(folder / "a"); }), HasSubstr("a: can't make folder"));
  EXPECT_THAT(error_of([&] { make_directories(folder / "a/b"); }), HasSubstr("a/b: can't make folder"));
}

}  // namespace
}  // namespace ocelli
