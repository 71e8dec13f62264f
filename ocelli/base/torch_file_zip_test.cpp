#include "ocelli/base/torch_file_zip.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"
#include "ocelli/base/torch_file_test_support.h"

namespace ocelli::detail {
namespace {

using test::error_of;
using test::make_zip;
using test::Zip;
using testing::HasSubstr;
using testing::StartsWith;

ZipEntries read(const std::string& bytes) {
  return read_zip(std::as_bytes(std::span(bytes)), "m.zip");
}

std::string refusal(const std::string& bytes) {
  const std::string message = error_of([&] { read(bytes); });
  EXPECT_THAT(message, StartsWith("m.zip: "));
  return message;
}

Zip two(bool zip64 = false) {
  return make_zip({{"a/one", "first"}, {"a/two", std::string(100, '2')}}, zip64);
}

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Zip, GivesEachEntryWhereItLies) {
  for (const bool zip64 : {false, true}) {
    const Zip zip = two(zip64);
    const ZipEntries entries = read(zip.bytes);
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_EQ(text(entries.at("a/one").bytes), "first");
    EXPECT_EQ(text(entries.at("a/two").bytes), std::string(100, '2'));
    EXPECT_EQ((entries.at("a/two").bytes.data() - reinterpret_cast<const std::byte*>(zip.bytes.data())) % 64, 0);
  }
  EXPECT_TRUE(read(make_zip({}).bytes).empty());
  EXPECT_EQ(read(make_zip({{"", ""}}).bytes).size(), 1U);
}

TEST(Zip, TheOlderEndAloneIsEnough) {
  Zip zip = two();
  zip.bytes.erase(zip.end - 76, 76);
  EXPECT_EQ(read(zip.bytes).size(), 2U);
}

TEST(Zip, TruncationIsFoundAtEveryByte) {
  const std::string whole = two().bytes;
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_THAT(refusal(whole.substr(0, size)), HasSubstr("truncated")) << size;
}

TEST(Zip, EveryByteOfTheTablesIsCheckedOrMeansNothing) {
  // Whatever a changed byte does, entries stay within the file and don't overlap; the sanitizers watch.
  for (const bool zip64 : {false, true}) {
    const Zip zip = two(zip64);
    for (size_t at = 0; at < zip.bytes.size(); ++at) {
      for (const char flip : {'\x01', '\x80', '\xff'}) {
        std::string bytes = zip.bytes;
        bytes[at] = static_cast<char>(bytes[at] ^ flip);
        try {
          uint64_t sum = 0;
          for (const auto& [name, entry] : read(bytes)) sum += entry.bytes.size();
          EXPECT_LE(sum, bytes.size());
        } catch (const Error&) {
        }
      }
    }
  }
}

TEST(Zip, CompressedEntriesStayPacked) {
  Zip zip = two();
  zip.put<uint16_t>(zip.directory[1] + 10, 8);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("\"a/two\": the header at byte"));
  zip.put<uint16_t>(zip.headers[1] + 8, 8);
  zip.put<uint32_t>(zip.directory[1] + 24, 4'000'000'000U);  // a bomb: 100 bytes that unpack to 4 GB
  const ZipEntries entries = read(zip.bytes);
  EXPECT_EQ(entries.at("a/two").method, 8);
  EXPECT_EQ(entries.at("a/two").bytes.size(), 100U);
}

TEST(Zip, EncryptedEntriesAreRefusedByName) {
  Zip zip = two();
  zip.put<uint16_t>(zip.directory[0] + 8, 1);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("\"a/one\" is encrypted"));
}

TEST(Zip, LyingSizesAreRefused) {
  Zip zip = two();
  zip.put<uint32_t>(zip.directory[1] + 24, 4'000'000'000U);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("\"a/two\" is stored, yet holds 4000000000 bytes in 100"));
  zip.put<uint32_t>(zip.directory[1] + 20, 500);
  zip.put<uint32_t>(zip.directory[1] + 24, 500);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("\"a/two\": 500 bytes at byte"));
  zip = two(true);
  const size_t field = zip.directory[1] + 46 + 5 + 4;
  for (const uint64_t size : {uint64_t{500}, ~uint64_t{0}, ~uint64_t{0} - 100}) {
    zip.put<uint64_t>(field, size);
    zip.put<uint64_t>(field + 8, size);
    EXPECT_THAT(refusal(zip.bytes), HasSubstr("reach beyond the entries' end"));
  }
  zip = two();
  zip.put<uint32_t>(zip.headers[0] + 18, 4);
  zip.put<uint32_t>(zip.headers[0] + 22, 4);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("\"a/one\": 4 bytes by its own header, 5 by the zip directory"));
  zip = two();
  zip.put<uint32_t>(zip.directory[0] + 20, 0xFFFFFFFF);
  zip.put<uint32_t>(zip.directory[0] + 24, 0xFFFFFFFF);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("has no zip64 field"));
  zip = two(true);
  zip.put<uint16_t>(zip.directory[0] + 46 + 5 + 2, 16);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("zip64 field of zip entry \"a/one\" is too short"));
}

TEST(Zip, OverlappingEntriesAreRefused) {
  // The second entry begins within the first one's contents, where a whole header of it stands.
  const Zip inner = make_zip({{"b", "inner"}});
  Zip zip = make_zip({{"a", inner.bytes.substr(0, inner.directory[0])}, {"b", "outer"}});
  zip.put<uint32_t>(zip.directory[1] + 42, 64 + static_cast<uint32_t>(inner.headers[0]));
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("zip entries \"a\" and \"b\" overlap at byte 64"));
}

TEST(Zip, EntriesAreWhereTheDirectorySays) {
  Zip zip = two();
  zip.put<uint32_t>(zip.directory[1] + 42, 1);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("\"a/two\" isn't at byte 1"));
  zip = two();
  zip.put<uint32_t>(zip.directory[1] + 42, 0);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("\"a/two\": the header at byte 0 names another"));
  zip = two();
  zip.put<uint32_t>(zip.directory[1] + 42, 0xFFFFFFF0);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("isn't at byte 4294967280"));
  EXPECT_THAT(refusal(make_zip({{"x", "1"}, {"x", "2"}}).bytes), HasSubstr("zip entry \"x\" is given twice"));
}

TEST(Zip, TheDirectoryIsBounded) {
  Zip zip = two();
  zip.put<uint64_t>(zip.end - 76 + 24, 1ULL << 40);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("ends differ: 2 and 1099511627776"));
  zip.put<uint16_t>(zip.end + 8, 0xFFFF);
  zip.put<uint16_t>(zip.end + 10, 0xFFFF);
  zip.put<uint64_t>(zip.end - 76 + 32, 1ULL << 40);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("1099511627776 zip entries, the limit is 131072"));
  zip.put<uint64_t>(zip.end - 76 + 24, 1000);
  zip.put<uint64_t>(zip.end - 76 + 32, 1000);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("can't hold 1000 entries"));
  zip = two();
  zip.put<uint16_t>(zip.end + 8, 0xFFFF);
  zip.put<uint16_t>(zip.end + 10, 0xFFFF);
  zip.put<uint64_t>(zip.end - 76 + 24, 1);
  zip.put<uint64_t>(zip.end - 76 + 32, 1);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("behind the last of 1 entries"));
  zip = two();
  zip.put<uint64_t>(zip.end - 20 + 8, 0);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("byte 0 is named as the zip64 end"));
  zip = two();
  zip.put<uint16_t>(zip.end + 4, 1);
  EXPECT_THAT(refusal(zip.bytes), HasSubstr("a zip archive in several files"));
  EXPECT_THAT(refusal("in front" + two().bytes), HasSubstr("named as the zip64 end"));
  zip = two();
  zip.bytes.erase(zip.end - 76, 76);
  EXPECT_THAT(refusal("in front" + zip.bytes), HasSubstr("expected one that ends at byte"));
  EXPECT_THAT(refusal(zip.bytes + "comment"), HasSubstr("truncated"));
}

}  // namespace
}  // namespace ocelli::detail
