#include <gmock/gmock.h>

#include <cstring>

#include "ocelli/base/file.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/base/test_support.h"

namespace ocelli {
namespace {

using test::error_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// A file's bytes: the length, the header, `data` bytes of zeros.
std::string file_with(std::string_view header, size_t data, uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  bytes += header;
  bytes.append(data, '\0');
  return bytes;
}
std::string file_with(std::string_view header, size_t data) {
  return file_with(header, data, header.size());
}

std::unique_ptr<TensorFile> parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "m.st");
}

std::string refusal(const std::string& bytes) {
  const std::string message = error_of([&] { parse(bytes); });
  EXPECT_THAT(message, StartsWith("m.st: "));
  return message;
}
std::string refusal(std::string_view header, size_t data) {
  return refusal(file_with(header, data));
}

std::string entry(std::string_view name, std::string_view shape, std::string_view offsets, std::string_view dtype = "U8") {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

template <typename T>
std::vector<T> values(const RawTensor& tensor) {
  std::vector<T> result(tensor.data.size() / sizeof(T));
  std::memcpy(result.data(), tensor.data.data(), tensor.data.size());
  return result;
}

TEST(Safetensors, ReadsWhatTheReferenceWrites) {
  const auto file = open_safetensors(OCELLI_SOURCE_DIR "/ocelli/base/testdata/reference.safetensors");
  EXPECT_EQ(file->tensors().size(), 6U);
  EXPECT_EQ(file->metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"made by", "the reference"}}));
  EXPECT_THAT(file->at("scalar").shape, ElementsAre());
  EXPECT_EQ(file->at("scalar").numel(), 1);
  EXPECT_THAT(values<int64_t>(file->at("scalar")), ElementsAre(-7));
  EXPECT_THAT(file->at("empty").shape, ElementsAre(0, 3));
  EXPECT_EQ(file->at("empty").numel(), 0);
  EXPECT_THAT(file->at("grid").shape, ElementsAre(2, 3));
  EXPECT_THAT(values<float>(file->at("grid")), ElementsAre(0, 0.25F, 0.5F, 0.75F, 1, 1.25F));
  EXPECT_EQ(file->at("half").dtype, DType::kBF16);
  EXPECT_THAT(values<uint16_t>(file->at("half")), ElementsAre(0x3f80, 0xc000, 0x7f80));
  EXPECT_EQ(file->at("mask").dtype, DType::kBool);
  EXPECT_THAT(values<uint8_t>(file->at("mask")), ElementsAre(1, 0, 1));
  EXPECT_THAT(values<uint8_t>(file->at("näme \"quoted\"\\/\n")), ElementsAre(255, 0));
  EXPECT_EQ(file->total_bytes(), 8U + 24 + 6 + 3 + 2);
}

TEST(Safetensors, OwnerKeepsTheBytes) {
  auto file = open_safetensors(OCELLI_SOURCE_DIR "/ocelli/base/testdata/reference.safetensors");
  const auto owner = file->owner();
  const RawTensor grid = file->at("grid");
  file.reset();
  EXPECT_EQ(values<float>(grid)[5], 1.25F);
  EXPECT_NE(owner, nullptr);
}

TEST(Safetensors, AbsentTensorIsNamed) {
  const auto file = parse(file_with("{" + entry("a", "[2]", "[0,2]") + "}", 2));
  EXPECT_EQ(file->find("b"), nullptr);
  EXPECT_EQ(error_of([&] { file->at("b"); }), "m.st: no tensor named \"b\"");
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_TRUE(parse(file_with("{}", 0))->tensors().empty());
  EXPECT_EQ(parse(file_with("{}   \n ", 0))->tensors().size(), 0U);
  const auto file = parse(file_with("{" + entry("rank0", "[]", "[4,5]") + "," + entry("zero", "[0,3]", "[4,4]") + "," +
                                        entry("end", "[9,0]", "[5,5]") + "," + entry("a", "[2,2]", "[0,4]") + "}",
                                    5));
  EXPECT_EQ(file->at("rank0").data.size(), 1U);
  EXPECT_EQ(file->at("zero").data.size(), 0U);
  EXPECT_EQ(file->at("a").data.size(), 4U);
  EXPECT_EQ(parse(file_with(R"({"__metadata__":{"a":"b"}})", 0))->metadata().at("a"), "b");
}

TEST(Safetensors, RefusesATruncatedHeader) {
  EXPECT_THAT(refusal(""), HasSubstr("truncated header: 0 bytes"));
  EXPECT_THAT(refusal(std::string(7, 'x')), HasSubstr("truncated header: 7 bytes"));
  EXPECT_THAT(refusal(file_with("{}", 0, 3)), HasSubstr("truncated header: 3 bytes announced, 2 in the file"));
  EXPECT_THAT(refusal(file_with("", 0, 0)), HasSubstr("doesn't start with '{'"));
}

TEST(Safetensors, RefusesAHugeHeader) {
  EXPECT_THAT(refusal(file_with("{}", 0, 1ULL << 63)), HasSubstr("header of 9223372036854775808 bytes is too large"));
  EXPECT_THAT(refusal(file_with("{}", 0, ~0ULL)), HasSubstr("too large"));
  EXPECT_THAT(refusal(file_with("{}", 0, 100'000'001)), HasSubstr("too large"));
  EXPECT_THAT(refusal(file_with("{}", 0, 100'000'000)), HasSubstr("truncated"));
}

TEST(Safetensors, RefusesAHeaderThatIsNoObject) {
  EXPECT_THAT(refusal("[]", 0), HasSubstr("doesn't start with '{'"));
  EXPECT_THAT(refusal(" {}", 0), HasSubstr("doesn't start with '{'"));
  EXPECT_THAT(refusal("\xef\xbb\xbf{}", 0), HasSubstr("doesn't start with '{'"));
  EXPECT_THAT(refusal("{}x", 0), HasSubstr("byte 3: syntax error"));
  EXPECT_THAT(refusal(std::string("{}\0\0", 4), 0), HasSubstr("NUL"));
  EXPECT_THAT(refusal("{\"a\":", 0), HasSubstr("syntax error"));
  EXPECT_THAT(refusal("{\"\xff\":{}}", 0), HasSubstr("UTF-8"));
}

TEST(Safetensors, RefusesAnEntryOfTheWrongForm) {
  EXPECT_THAT(refusal(R"({"a":1})", 0), HasSubstr(R"("a" is a number, expected an object)"));
  EXPECT_THAT(refusal(R"({"a":[]})", 0), HasSubstr(R"("a" is a list, expected an object)"));
  EXPECT_THAT(refusal(R"({"a":{}})", 0), HasSubstr(R"(tensor "a": needs dtype, shape and data_offsets)"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"U8","shape":[1]}})", 1), HasSubstr("needs dtype, shape and data_offsets"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"U8","dtype":"U8"}})", 1), HasSubstr("dtype is given twice"));
  EXPECT_THAT(refusal(R"({"a":{"type":"U8"}})", 1), HasSubstr(R"(unknown key "type")"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":{}}})", 1), HasSubstr("dtype holds an object, expected a string"));
  EXPECT_THAT(refusal("{" + entry("a", "[[1]]", "[0,1]") + "}", 1),
              HasSubstr("shape holds a list, expected a list of non-negative"));
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[0,1]", "F33") + "}", 1), HasSubstr(R"(tensor "a": dtype "F33" isn't known)"));
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[0]") + "}", 1), HasSubstr("needs two data_offsets"));
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[0,1,2]") + "}", 1), HasSubstr("more than two data_offsets"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"a":1}})", 0), HasSubstr(R"(metadata "a" is a number, expected a string)"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"a":"1","a":"2"}})", 0), HasSubstr(R"(metadata "a" is given twice)"));
  EXPECT_THAT(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0), HasSubstr("given twice"));
}

TEST(Safetensors, RefusesOffsetsAndShapesThatAreNoSizes) {
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[-1,0]") + "}", 1), HasSubstr("data_offsets holds a negative number"));
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[0.0,1]") + "}", 1), HasSubstr("a number that is no 64-bit integer"));
  EXPECT_THAT(refusal("{" + entry("a", "[-1]", "[0,1]") + "}", 1), HasSubstr("shape holds a negative number"));
  EXPECT_THAT(refusal("{" + entry("a", "[18446744073709551616]", "[0,1]") + "}", 1), HasSubstr("no 64-bit integer"));
  EXPECT_THAT(refusal("{" + entry("a", "[9223372036854775808]", "[0,1]") + "}", 1), HasSubstr("is too large"));
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[1,0]") + "}", 1), HasSubstr("data_offsets 1 to 0 don't fit"));
}

TEST(Safetensors, RefusesASizeThatOverflows) {
  EXPECT_THAT(refusal("{" + entry("a", "[4194305,4194305,211106198978564]", "[0,16]", "F32") + "}", 16),
              HasSubstr("the size of shape [4194305, 4194305, 211106198978564] overflows"));
  EXPECT_THAT(refusal("{" + entry("a", "[2305843009213693952]", "[0,0]", "F64") + "}", 0), HasSubstr("overflows"));
  EXPECT_THAT(refusal("{" + entry("a", "[0,1099511627776,1099511627776]", "[0,0]") + "}", 0), HasSubstr("overflows"));
}

TEST(Safetensors, RefusesASizeThatDiffersFromTheShape) {
  EXPECT_THAT(refusal("{" + entry("a", "[3]", "[0,4]") + "}", 4),
              HasSubstr("data_offsets 0 to 4 don't fit U8 [3], which takes 3 bytes"));
  EXPECT_THAT(refusal("{" + entry("a", "[1,2]", "[0,7]", "F32") + "}", 7),
              HasSubstr("don't fit F32 [1, 2], which takes 8 bytes"));
}

TEST(Safetensors, RefusesANameGivenTwice) {
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[0,1]") + "," + entry("a", "[1]", "[1,2]") + "}", 2),
              HasSubstr(R"(name "a" is given twice)"));
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[0,1]") + "," + entry("\\u0061", "[1]", "[1,2]") + "}", 2),
              HasSubstr(R"(name "a" is given twice)"));
}

TEST(Safetensors, RefusesOverlap) {
  std::string ten = "{";
  for (int i = 0; i < 10; ++i) ten += (i == 0 ? "" : ",") + entry(fmt::format("t{}", i), "[4]", "[0,4]");
  EXPECT_THAT(refusal(ten + "}", 4), AllOf(HasSubstr("overlap at byte 0"), HasSubstr("\"t")));
  EXPECT_THAT(refusal("{" + entry("a", "[4]", "[0,4]") + "," + entry("b", "[4]", "[3,7]") + "}", 7),
              HasSubstr(R"(tensors "a" and "b" overlap at byte 3)"));
  EXPECT_THAT(refusal("{" + entry("a", "[4]", "[0,4]") + "," + entry("b", "[0]", "[2,2]") + "}", 4), HasSubstr("overlap"));
}

TEST(Safetensors, RefusesHolesAndTrailingBytes) {
  EXPECT_THAT(refusal("{" + entry("a", "[4]", "[0,4]") + "," + entry("b", "[1]", "[5,6]") + "}", 6),
              HasSubstr(R"(bytes 4 to 5 of the data, before tensor "b", belong to no tensor)"));
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[1,2]") + "}", 2), HasSubstr("belong to no tensor"));
  EXPECT_THAT(refusal("{" + entry("a", "[1]", "[0,1]") + "}", 34), HasSubstr("33 bytes behind the last tensor"));
  EXPECT_THAT(refusal("{}", 1), HasSubstr("1 bytes behind the last tensor"));
}

TEST(Safetensors, RefusesTruncatedData) {
  EXPECT_THAT(refusal("{" + entry("a", "[4]", "[0,4]") + "}", 2), HasSubstr("truncated: 2 bytes of data, the header names 4"));
}

TEST(Safetensors, BoundsTensorsAndDimensions) {
  std::string many = "{";
  for (int i = 0; i < 65'537; ++i) many += (i == 0 ? "" : ",") + entry(std::to_string(i), "[0]", "[0,0]");
  EXPECT_THAT(refusal(many + "}", 0), HasSubstr("more than 65536 tensors"));
  std::string deep = "1";
  for (int i = 0; i < 64; ++i) deep += ",1";
  EXPECT_THAT(refusal("{" + entry("a", "[" + deep + "]", "[0,1]") + "}", 1), HasSubstr("more than 64 dimensions"));
}

// Every single-byte change and every cut of a valid file is refused or read within its bounds (AddressSanitizer watches).
TEST(Safetensors, SurvivesEveryCutAndEveryChangedByte) {
  const std::string valid = read_file(OCELLI_SOURCE_DIR "/ocelli/base/testdata/reference.safetensors");
  const auto touch = [](const std::string& bytes) {
    try {
      uint64_t sum = 0;
      const auto file = parse(bytes);
      for (const auto& [name, tensor] : file->tensors()) {
        for (const std::byte value : tensor.data) sum += static_cast<uint64_t>(value);
      }
      EXPECT_LE(file->total_bytes(), bytes.size());
      return sum > 0;
    } catch (const Error&) {
      return false;
    }
  };
  ASSERT_TRUE(touch(valid));
  for (size_t length = 0; length < valid.size(); ++length) EXPECT_FALSE(touch(valid.substr(0, length))) << length;
  for (size_t i = 0; i < valid.size(); ++i) {
    for (const int change : {0x01, 0x20, 0x80, 0xff}) {
      std::string changed = valid;
      changed[i] = static_cast<char>(changed[i] ^ change);
      touch(changed);
    }
  }
}

}  // namespace
}  // namespace ocelli
