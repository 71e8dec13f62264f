#include "ocelli/text/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "ocelli/text/utf8.h"

namespace ocelli::text {
namespace {

using ::testing::ElementsAre;

constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::unique_ptr<const Pattern> pattern_of(const std::string& regex) {
  const Json config = {{"Regex", regex}};
  return make_pattern(JsonView(config, "pattern"));
}

std::vector<std::string> pieces(const Pattern& pattern, std::string_view text) {
  std::vector<Span> spans;
  pattern.cover(text, spans);
  std::vector<std::string> out;
  for (const Span& span : spans) out.emplace_back(text.substr(span.begin, span.end - span.begin));
  return out;
}

TEST(Pattern, Gpt2KeepsASpaceWithTheWordAfterIt) {
  EXPECT_THAT(pieces(*gpt2_pattern(), "it's  a\n\nTest 12!?  "),
              ElementsAre("it", "'s", " ", " a", "\n", "\n", "Test", " 12", "!?", "  "));
}

TEST(Pattern, Llama3TakesThreeDigitsAndLineEnds) {
  EXPECT_THAT(pieces(*pattern_of(kLlama3), "I'LL (see) 12345\n \n x!\n"),
              ElementsAre("I", "'LL", " (", "see", ")", " ", "123", "45", "\n \n", " x", "!\n"));
}

TEST(Pattern, Qwen2TakesSingleDigits) {
  EXPECT_THAT(pieces(*pattern_of(kQwen2), "a12"), ElementsAre("a", "1", "2"));
}

// The scanners are faster ways to run the expressions, so both must cut every text alike.
TEST(Pattern, ScannersCutAsTheirRegexDoes) {
  const std::vector<std::string> atoms = {"a",       "Z",   "\u00E9", "\u4F60", "1",      "\u0664",     "\u00BD", " ",  "  ",
                                          "\t",      "\n",  "\r\n",   "\u00A0", "\u3000", "\u0085",     "'",      "'s", "'LL",
                                          "'\u017F", "'re", ".",      "-",      "\u0301", "\U0001F600", "\0"};
  std::mt19937 random(7);
  for (const char* regex : {kGpt2, kQwen2, kLlama3}) {
    const auto scanner = pattern_of(regex);
    const auto engine = pattern_of(std::string("(?:") + regex + ")");
    for (int i = 0; i < 2000; ++i) {
      std::string text;
      for (uint32_t n = random() % 12; n > 0; --n) text += atoms[random() % atoms.size()];
      ASSERT_EQ(pieces(*scanner, text), pieces(*engine, text)) << regex << " on " << Json(text).dump();
    }
  }
}

TEST(Pattern, EmptyMatchesEndAndKeepTheText) {
  EXPECT_THAT(pieces(*pattern_of("a*"), "baab"), ElementsAre("", "b", "aa", "b", ""));
  EXPECT_THAT(pieces(*pattern_of("$"), "a\nb"), ElementsAre("a", "", "\nb", ""));
}

TEST(Utf8, ReplacesTheMaximalInvalidParts) {
  EXPECT_EQ(valid_utf8("a\x80\xC3\xE2\x82"
                       "b\xF0\x9F\x98\xED\xA0\x80\xC0\xAF"),
            "a\uFFFD\uFFFD\uFFFDb\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_FALSE(is_valid_utf8("\xED\xA0\x80"));
  EXPECT_TRUE(is_valid_utf8("\xF4\x8F\xBF\xBF"));
  EXPECT_FALSE(is_valid_utf8("\xF4\x90\x80\x80"));
}

}  // namespace
}  // namespace ocelli::text
