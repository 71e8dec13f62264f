#include "ocelli/data/text_facts.h"

#include <gtest/gtest.h>

namespace ocelli::data {
namespace {

TEST(TextFacts, HanCharactersAreWords) {
  EXPECT_EQ(count_words("What colour is  the\ncat?"), 5);
  EXPECT_EQ(count_words("这是 a cat 吗？"), 6);  // 这 是 a cat 吗 ？
  EXPECT_EQ(count_words(" \n"), 0);
}

TEST(TextFacts, CountsLettersByScript) {
  const ScriptCounts counts = count_scripts("a é 猫 кот 12!");
  EXPECT_EQ(counts.latin, 2);
  EXPECT_EQ(counts.han, 1);
  EXPECT_EQ(counts.other, 3);
}

TEST(TextFacts, FindsTextReadInTheWrongEncoding) {
  EXPECT_EQ(find_mojibake("a cafÃ© here"), "Ã©");
  EXPECT_EQ(find_mojibake("it itâ€™s"), "â€™");
  EXPECT_EQ(find_mojibake("çŒ«"), "çŒ«");  // 猫
  EXPECT_EQ(find_mojibake("x\xEF\xBF\xBD"), "\xEF\xBF\xBD");
  EXPECT_EQ(find_mojibake("broken \xC3("), "\xC3");
  for (const char* fine : {"café’s “naïve” Ångström", "SÃO PAULO", "猫が好き", "é»", "10 € – 5 £", ""}) {
    EXPECT_EQ(find_mojibake(fine), "") << fine;
  }
}

TEST(TextFacts, FindsWhatTemplatesWrite) {
  EXPECT_EQ(find_template_token("hi <|im_end|>\n", {}), "<|im_end|>");
  EXPECT_EQ(find_template_token("a </s> b <|x|>", {}), "</s>");
  EXPECT_EQ(find_template_token("<image>\nif (a <| b |> c)", {}), "");
  const std::vector<std::string> tokens = {"<unk>", "<image>"};
  EXPECT_EQ(find_template_token("<image> <|im_end|> <unk>", tokens), "<unk>");
}

TEST(TextFacts, QuestionsAreEqualWhateverTheirSpelling) {
  EXPECT_EQ(normalized_question("<image>\nWhat  COLOUR is the cat?"), "what colour is the cat");
  EXPECT_EQ(normalized_question("Ｗhat colour—is the cat ?<image>"), "what colour is the cat");
  EXPECT_EQ(normalized_question("\xFF"), "");
}

TEST(TextFacts, TellsChoices) {
  EXPECT_EQ(choice_of("Yes.").kind, ShortAnswer::kYes);
  EXPECT_EQ(choice_of(" no\n").kind, ShortAnswer::kNo);
  for (const char* text : {"B", "(B)", "B.", "(B).", " B: "}) {
    EXPECT_EQ(choice_of(text).kind, ShortAnswer::kLetter) << text;
    EXPECT_EQ(choice_of(text).letter, 'B') << text;
  }
  for (const char* text : {"Yes, it is", "not", "a", "BB", "(B", "B. a cat", ""}) {
    EXPECT_EQ(choice_of(text).kind, ShortAnswer::kNone) << text;
  }
  EXPECT_EQ(option_letters("Which?\nA. one\nB. two\nC. three"), "ABC");
  EXPECT_EQ(option_letters("Which?\n(A) one\n(B) two"), "AB");
  EXPECT_EQ(option_letters("A cat sat.\nB"), "");
}

TEST(TextFacts, TellsQuestionsThatAskToRead) {
  EXPECT_TRUE(asks_to_read("What is written on the bus?"));
  EXPECT_TRUE(asks_to_read("<image>\nTranscribe it."));
  EXPECT_TRUE(asks_to_read("图中的文字是什么"));
  EXPECT_FALSE(asks_to_read("What is the boy doing in the street?"));
  EXPECT_FALSE(asks_to_read("A crocodile?"));
}

}  // namespace
}  // namespace ocelli::data
