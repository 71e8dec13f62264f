#include "ocelli/text/qwen_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/text/base64.h"

namespace ocelli::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int64_t>;

std::string base64(const std::string& bytes) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t j = i; j < i + 3; ++j) word = (word << 8) | (j < bytes.size() ? static_cast<uint8_t>(bytes[j]) : 0U);
    for (size_t j = 0; j < 4; ++j) out += i + j > bytes.size() ? '=' : kDigits[(word >> (18 - 6 * j)) & 63];
  }
  return out;
}

/// Ranks 0 to 255 are the bytes backwards, so that a byte's value isn't its token; then come the given tokens.
std::string ranks(const std::vector<std::string>& tokens) {
  std::string out;
  for (int byte = 0; byte < 256; ++byte)
    out += base64(std::string(1, static_cast<char>(255 - byte))) + fmt::format(" {}\n", byte);
  for (size_t i = 0; i < tokens.size(); ++i) out += base64(tokens[i]) + fmt::format(" {}\n", 256 + i);
  return out;
}

std::string error_of(const std::string& file) {
  try {
    make_qwen_tokenizer(file, "ranks", {});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(QwenTokenizer, JoinsTheLowestRankFirst) {
  const auto tokenizer = make_qwen_tokenizer(ranks({"bc", "ab", "abc d"}), "ranks", {});
  EXPECT_THAT(tokenizer->encode("abc", true), ElementsAre(255 - 'a', 256));
  EXPECT_THAT(tokenizer->encode("ab<|im_end|>", true), ElementsAre(257, 259 + 2));
  EXPECT_EQ(tokenizer->decode(Ids{257, 261, 255 - 'c'}, false), "ab<|im_end|>c");
  EXPECT_EQ(tokenizer->decode(Ids{257, 261, 255 - 'c'}, true), "abc");
  EXPECT_EQ(tokenizer->vocab_size(), 259 + 3 + 205 + 9);
  EXPECT_EQ(tokenizer->id_of("bc"), 256);
}

TEST(QwenTokenizer, APathBecomesItsBytesAndPads) {
  const auto tokenizer = make_qwen_tokenizer(ranks({}), "ranks", {.image_span = 4});
  const int64_t start = *tokenizer->id_of("<img>"), end = *tokenizer->id_of("</img>"), pad = *tokenizer->id_of("<imgpad>");
  const Ids ids = tokenizer->encode("<img>a\xC3\xA9</img>b", true);
  EXPECT_THAT(ids, ElementsAre(start, 'a', 0xC3, 0xA9, pad, end, 255 - 'b'));
  EXPECT_EQ(tokenizer->decode(ids, true),
            "a\xC3\xA9"
            "b");
  EXPECT_EQ(tokenizer->decode(ids, false), "<img>a\xC3\xA9</img>b");
  EXPECT_THAT(tokenizer->encode("<img></img>", true), ElementsAre(start, pad, pad, pad, pad, end));
}

TEST(QwenTokenizer, PathsThatDontFitAreNamed) {
  const auto tokenizer = make_qwen_tokenizer(ranks({}), "ranks", {.image_span = 4});
  const auto error = [&](std::string_view text) -> std::string {
    try {
      tokenizer->encode(text, true);
    } catch (const Error& thrown) {
      return thrown.what();
    }
    return "";
  };
  EXPECT_THAT(error("<img>abcde</img>"), HasSubstr("has 5 bytes, at most 4 fit"));
  EXPECT_THAT(error("<img>abc"), HasSubstr("isn't followed by a path and </img>"));
  EXPECT_THAT(error("<img>a<ref></img>"), HasSubstr("isn't followed by a path and </img>"));
  EXPECT_THAT(error("<img>"), HasSubstr("isn't followed by a path and </img>"));
}

TEST(QwenTokenizer, WithoutVisionTheTagsAreText) {
  const auto tokenizer = make_qwen_tokenizer(ranks({}), "ranks", {.vision = false});
  EXPECT_EQ(tokenizer->vocab_size(), 256 + 208);
  EXPECT_EQ(tokenizer->encode("<img>a", true).size(), 6U);
}

TEST(QwenTokenizer, BrokenRanksAreNamed) {
  EXPECT_THAT(error_of(ranks({}) + "!!!! 256\n"), HasSubstr("line 257: character 0 is no base64"));
  EXPECT_THAT(error_of(ranks({}) + "YWI= x\n"), HasSubstr("line 257: the rank 'x' is no number"));
  EXPECT_THAT(error_of(ranks({}) + "YWI= 3\n"), HasSubstr("line 257: the rank 3 is given twice"));
  EXPECT_THAT(error_of(ranks({}) + "YWI= 257\n"), HasSubstr("no token has the rank 256"));
  EXPECT_THAT(error_of("YQ== 0\n"), HasSubstr("the byte 0x00 has no rank"));
}

TEST(Base64, OnlyWholeGroupsWithPaddingAtTheEnd) {
  EXPECT_EQ(decode_base64("YWJj", "x"), "abc");
  EXPECT_EQ(decode_base64("YWI=", "x"), "ab");
  EXPECT_EQ(decode_base64("YQ==", "x"), "a");
  EXPECT_EQ(decode_base64("", "x"), "");
  for (const char* wrong : {"YWJ", "YQ==YQ==", "Y===", "=AAA", "Y W=", "YWJj\n"})
    EXPECT_THROW(decode_base64(wrong, "x"), Error) << wrong;
}

}  // namespace
}  // namespace ocelli::text
