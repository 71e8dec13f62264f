#include "ocelli/base/base64.h"

#include <gmock/gmock.h>

#include <random>

#include "ocelli/base/test_support.h"

namespace ocelli {
namespace {

using test::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kMost = 1 << 20;

TEST(Base64, KnowsTheVectorsOfTheStandard) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : cases) {
    EXPECT_EQ(encode_base64(plain), text);
    EXPECT_EQ(decode_base64(text, "x", kMost), plain);
  }
}

TEST(Base64, ReturnsEveryByteOfAnyLength) {
  std::mt19937 random(7);
  for (size_t size = 0; size < 260; ++size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    EXPECT_EQ(decode_base64(encode_base64(bytes), "x", size), bytes);
  }
}

TEST(Base64, RefusesWhatIsNotBase64AndSaysWhere) {
  EXPECT_THAT(error_of([] { decode_base64("Zm9v!m9v", "row 3", kMost); }),
              AllOf(HasSubstr("row 3"), HasSubstr("byte 4"), HasSubstr("0x21")));
  EXPECT_THAT(error_of([] { decode_base64("Zm9\n", "x", kMost); }), HasSubstr("byte 3"));
  EXPECT_THAT(error_of([] { decode_base64("Zg", "x", kMost); }), HasSubstr("multiple of 4"));
  EXPECT_THAT(error_of([] { decode_base64("Z===", "x", kMost); }), HasSubstr("byte 1"));
  EXPECT_THAT(error_of([] { decode_base64("====", "x", kMost); }), HasSubstr("byte 0"));
  EXPECT_THAT(error_of([] { decode_base64("Zg==Zg==", "x", kMost); }), HasSubstr("byte 2"));
  EXPECT_THAT(error_of([] { decode_base64("Zh==", "x", kMost); }), HasSubstr("cut or altered"));
  EXPECT_THAT(error_of([] { decode_base64("Zm9=", "x", kMost); }), HasSubstr("cut or altered"));
  EXPECT_THAT(error_of([] { decode_base64("Zm9vYmFy", "x", 5); }), AllOf(HasSubstr("6 bytes"), HasSubstr("limit is 5")));
}

TEST(Base64, ReadsDataUrls) {
  EXPECT_EQ(decode_data_url("data:image/png;base64,Zm9v", "x", kMost), "foo");
  EXPECT_THAT(error_of([] { decode_data_url("data:image/png,abc", "row 3", kMost); }),
              AllOf(HasSubstr("row 3"), HasSubstr("base64")));
  EXPECT_FALSE(is_data_url("http://x"));
}

}  // namespace
}  // namespace ocelli
