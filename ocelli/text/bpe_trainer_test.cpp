#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/text/tokenizer.h"

namespace ocelli::text {
namespace {

using ::testing::ElementsAre;

const std::vector<std::string> kTexts = {"low lower lowest low low", "new newer newest wide wider widest",
                                         "it's 1984, it's <eos> late"};

TEST(BpeTrainer, SpecialTokensThenBytesThenMerges) {
  const Json file = train_byte_level_bpe(kTexts, {.vocab_size = 280, .special_tokens = {"<pad>", "<eos>"}});
  const Json& vocab = file["model"]["vocab"];
  EXPECT_EQ(vocab["<pad>"], 0);
  EXPECT_EQ(vocab["<eos>"], 1);
  EXPECT_EQ(vocab["!"], 2);
  EXPECT_EQ(vocab["Ń"], 257);
  EXPECT_EQ(file["model"]["merges"].size(), vocab.size() - 258);
  EXPECT_LE(vocab.size(), 280u);
}

TEST(BpeTrainer, TakesTheMostFrequentPairAndOfEqualsTheSmaller) {
  // "ab" stands 3 times; "cd" and "ce" twice each.
  const Json file = train_byte_level_bpe({"ab", "ab", "ab", "cd", "cd", "ce", "ce"}, {.vocab_size = 259});
  EXPECT_EQ(file["model"]["merges"], Json::parse(R"([["a", "b"], ["c", "d"], ["c", "e"]])"));
}

TEST(BpeTrainer, StopsAtTheLeastFrequency) {
  const Json file = train_byte_level_bpe({"ab", "ab", "cd"}, {.vocab_size = 1000, .min_frequency = 2});
  EXPECT_EQ(file["model"]["merges"], Json::parse(R"([["a", "b"]])"));
}

TEST(BpeTrainer, CountsOverlappingPairsAsTheyMerge) {
  // a a a a a -> aa aa a; (aa, a) and (aa, aa) are equally frequent, and a has the smaller id.
  const Json file = train_byte_level_bpe({"aaaaa", "aaaaa"}, {.vocab_size = 259});
  EXPECT_EQ(file["model"]["merges"], Json::parse(R"([["a", "a"], ["aa", "a"], ["aa", "aaa"]])"));
}

TEST(BpeTrainer, LearnsNothingFromSpecialTokensInTexts) {
  const Json file =
      train_byte_level_bpe(std::vector<std::string>(5, "<eos><eos>"), {.vocab_size = 300, .special_tokens = {"<eos>"}});
  EXPECT_TRUE(file["model"]["merges"].empty());
}

TEST(BpeTrainer, ResultReadsBackEveryText) {
  const auto tokenizer =
      make_tokenizer(train_byte_level_bpe(kTexts, {.vocab_size = 300, .special_tokens = {"<eos>"}}), "trained");
  for (const std::string& text : kTexts) EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, true), false), text);
  EXPECT_THAT(tokenizer->encode("<eos>", true), ElementsAre(0));
  EXPECT_LT(tokenizer->encode(kTexts[0], true).size(), kTexts[0].size() / 2);
}

TEST(BpeTrainer, SameTextsGiveTheSameFile) {
  const TrainOptions options{.vocab_size = 290, .special_tokens = {"<eos>"}};
  EXPECT_EQ(train_byte_level_bpe(kTexts, options).dump(),
            train_byte_level_bpe({kTexts[2], kTexts[0], kTexts[1]}, options).dump());
}

TEST(BpeTrainer, ImpossibleOptionsAreErrors) {
  EXPECT_THROW(train_byte_level_bpe(kTexts, {.vocab_size = 256, .special_tokens = {"<eos>"}}), Error);
  EXPECT_THROW(train_byte_level_bpe(kTexts, {.vocab_size = int64_t{1} << 40}), Error);
  EXPECT_THROW(train_byte_level_bpe(kTexts, {.min_frequency = 0}), Error);
  EXPECT_THROW(train_byte_level_bpe(kTexts, {.special_tokens = {""}}), Error);
  EXPECT_THROW(train_byte_level_bpe(kTexts, {.special_tokens = {"<s>", "<s>"}}), Error);
}

}  // namespace
}  // namespace ocelli::text
