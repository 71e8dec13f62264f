#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <random>
#include <string>
#include <utility>
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

/// Merges by taking all counts anew at each step. `words` are letters; ids are those of a file without special tokens.
Json merges_by_recounting(const std::vector<std::string>& words, int64_t steps, const Json& vocab) {
  std::vector<std::vector<std::string>> spelled;
  for (const std::string& word : words) {
    spelled.emplace_back();
    for (const char c : word) spelled.back().emplace_back(1, c);
  }
  Json merges = Json::array();
  while (static_cast<int64_t>(merges.size()) < steps) {
    std::map<std::pair<int64_t, int64_t>, int64_t> counts;
    std::map<int64_t, std::string> tokens;
    for (const auto& word : spelled) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        const auto left = vocab.at(word[i]).get<int64_t>(), right = vocab.at(word[i + 1]).get<int64_t>();
        tokens[left] = word[i];
        tokens[right] = word[i + 1];
        ++counts[{left, right}];
      }
    }
    const auto best =
        std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    if (best == counts.end() || best->second < 2) break;
    const std::string left = tokens[best->first.first], right = tokens[best->first.second];
    merges.push_back({left, right});
    for (auto& word : spelled) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        if (word[i] != left || word[i + 1] != right) continue;
        word[i] += right;
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return merges;
}

TEST(BpeTrainer, KeepsCountsAsRecountingWould) {
  std::mt19937 random(3);
  for (int round = 0; round < 30; ++round) {
    std::vector<std::string> words;
    for (int i = 0; i < 60; ++i) {
      std::string word;
      for (uint32_t n = 1 + random() % 9; n > 0; --n) word += static_cast<char>('a' + random() % 3);
      words.push_back(word);
    }
    const Json file = train_byte_level_bpe(words, {.vocab_size = 256 + 20});
    const Json& model = file["model"];
    ASSERT_EQ(model["merges"], merges_by_recounting(words, static_cast<int64_t>(model["merges"].size()), model["vocab"]));
  }
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
