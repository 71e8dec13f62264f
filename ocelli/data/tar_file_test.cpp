#include "ocelli/data/tar_file.h"

#include <gmock/gmock.h>

#include <vector>

#include "ocelli/base/test_support.h"

namespace ocelli::data {
namespace {

using test::error_of;
using test::spill;
using test::TemporaryFolder;
using testing::HasSubstr;

constexpr size_t kBlock = 512;

/// The members as "name=contents".
std::vector<std::string> read(const std::string& archive) {
  const std::string origin = "x.tar";
  TarReader reader(std::as_bytes(std::span(archive)), origin);
  std::vector<std::string> members;
  while (const auto member = reader.next()) members.push_back(member->name + "=" + std::string(member->contents));
  return members;
}

std::string write(const std::vector<std::pair<std::string, std::string>>& members) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "x.tar");
  TarWriter writer(file);
  for (const auto& [name, contents] : members) writer.add(name, contents);
  writer.finish();
  file.commit();
  return read_file(folder / "x.tar");
}

/// Puts `bytes` into the header at `block` and makes its checksum right again.
std::string patched(std::string archive, size_t block, size_t at, std::string_view bytes) {
  archive.replace(block + at, bytes.size(), bytes);
  archive.replace(block + 148, 8, 8, ' ');
  unsigned sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(archive[block + i]);
  archive.replace(block + 148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return archive;
}

TEST(TarFile, ReadsBackWhatItWrites) {
  const std::string far = std::string(300, 'd') + "/a.txt";
  const std::string full(kBlock, 'x');
  EXPECT_EQ(read(write({{"a.txt", "one"}, {"empty", ""}, {far, "two"}, {"full", full}})),
            (std::vector<std::string>{"a.txt=one", "empty=", far + "=two", "full=" + full}));
}

TEST(TarFile, StartsAtAnyMember) {
  const std::string archive = write({{"a", "1"}, {std::string(200, 'b'), "2"}, {"c", "3"}});
  const std::string origin = "x.tar";
  TarReader all(std::as_bytes(std::span(archive)), origin);
  all.next();
  const uint64_t second = all.next()->begin;
  TarReader reader(std::as_bytes(std::span(archive)), origin, second);
  EXPECT_EQ(reader.next()->name, std::string(200, 'b'));
  EXPECT_EQ(reader.next()->name, "c");
  EXPECT_FALSE(reader.next());
}

TEST(TarFile, NamesEveryCut) {
  const std::string archive = write({{"a.txt", std::string(700, 'a')}, {std::string(200, 'b'), "2"}});
  // The last 512 bytes are the second of two closing blocks, which not every writer makes.
  for (size_t size = 0; size < archive.size() - kBlock; size += 1 + size % 97) {
    EXPECT_THAT(error_of([&] { read(archive.substr(0, size)); }), AllOf(HasSubstr("x.tar"), HasSubstr("cut"))) << size;
  }
}

TEST(TarFile, RefusesDamagedHeaders) {
  const std::string archive = write({{"a.txt", "one"}});
  std::string flipped = archive;
  flipped[3] ^= 1;
  EXPECT_THAT(error_of([&] { read(flipped); }), HasSubstr("x.tar: byte 0: the header's checksum is wrong"));
  EXPECT_THAT(error_of([&] { read(patched(archive, 0, 124, "0000000x003")); }), HasSubstr("no octal number"));
  EXPECT_THAT(error_of([&] { read(patched(archive, 0, 124, std::string(12, '\xff'))); }), HasSubstr("negative"));
  EXPECT_THAT(error_of([&] { read(patched(archive, 0, 124, std::string("\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12))); }),
              HasSubstr("above 2^63"));
  EXPECT_THAT(error_of([&] { read(patched(archive, 0, 124, "77777777777")); }), HasSubstr("8589934591 bytes, but only"));
}

TEST(TarFile, RefusesWhatIsNoRegularFile) {
  const std::string archive = write({{"a.jpg", ""}, {"b.jpg", "two"}});
  for (const char* link : {"1", "2"}) {
    EXPECT_THAT(error_of([&] { read(patched(archive, 0, 156, link)); }),
                AllOf(HasSubstr("\"a.jpg\" is a link"), HasSubstr("--dereference")));
  }
  EXPECT_THAT(error_of([&] { read(patched(archive, 0, 156, "3")); }), HasSubstr("no regular file (type '3')"));
  EXPECT_THAT(error_of([&] { read(patched(archive, 0, 156, "S")); }), HasSubstr("sparse"));
  EXPECT_EQ(read(patched(archive, 0, 156, "5")), std::vector<std::string>{"b.jpg=two"});
}

TEST(TarFile, ReadsLongNamesOfGnu) {
  const std::string name = std::string(150, 'n') + ".jpg";
  const std::string archive = write({{"././@LongLink", name + std::string(1, '\0')}, {"short", "one"}});
  EXPECT_EQ(read(patched(archive, 0, 156, "L")), std::vector<std::string>{name + "=one"});
  const std::string huge = write({{"././@LongLink", std::string(5000, 'n')}, {"short", "one"}});
  EXPECT_THAT(error_of([&] { read(patched(huge, 0, 156, "L")); }), HasSubstr("a GNU long name has 5000 bytes, at most 4097"));
}

TEST(TarFile, RefusesTwoSizes) {
  const auto with_pax = [](const std::string& records) { return patched(write({{"p", records}, {"a", "one"}}), 0, 156, "x"); };
  EXPECT_EQ(read(with_pax("9 size=3\n")), std::vector<std::string>{"a=one"});
  EXPECT_THAT(error_of([&] { read(with_pax("12 size=512\n")); }), HasSubstr("is 3 in its header and 512 in its pax header"));
  EXPECT_THAT(error_of([&] { read(with_pax("99 size=3\n")); }), HasSubstr("not \"length key=value\""));
  EXPECT_THAT(error_of([&] { read(with_pax("22 GNU.sparse.major=1\n")); }), HasSubstr("sparse"));
}

TEST(TarFile, NamesASecondArchiveBehindTheFirst) {
  const std::string archive = write({{"a", "one"}});
  EXPECT_THAT(error_of([&] { read(archive + archive); }), HasSubstr("joined with `tar -A`"));
  EXPECT_EQ(read(archive + std::string(9 * kBlock, '\0')), std::vector<std::string>{"a=one"});
}

}  // namespace
}  // namespace ocelli::data
