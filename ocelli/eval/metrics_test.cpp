#include "ocelli/eval/metrics.h"

#include <gtest/gtest.h>

namespace ocelli::eval {
namespace {

std::vector<std::string> times(std::initializer_list<std::pair<const char*, int>> answers) {
  std::vector<std::string> out;
  for (const auto& [text, count] : answers) out.insert(out.end(), static_cast<size_t>(count), text);
  return out;
}

// Scores the official Python code gives, in percent.
TEST(VqaAccuracy, EqualsTheOfficialCode) {
  const auto score = [](const char* prediction, std::initializer_list<std::pair<const char*, int>> answers) {
    return 100 * vqa_accuracy(prediction, times(answers));
  };
  EXPECT_NEAR(score("cat", {{"cat", 1}, {"dog", 9}}), 30, 1e-9);
  EXPECT_NEAR(score("cat", {{"cat", 2}, {"dog", 8}}), 60, 1e-9);
  EXPECT_NEAR(score("cat", {{"cat", 3}, {"dog", 7}}), 90, 1e-9);
  EXPECT_NEAR(score("cat", {{"cat", 4}, {"dog", 6}}), 100, 1e-9);
  EXPECT_NEAR(score("Yes", {{"yes", 10}}), 0, 1e-9);
  EXPECT_NEAR(score("Yes", {{"yes", 9}, {"no", 1}}), 100, 1e-9);
  EXPECT_NEAR(score("yes.", {{"yes", 10}}), 0, 1e-9);
  EXPECT_NEAR(score("yes.", {{"yes", 9}, {"no", 1}}), 100, 1e-9);
  EXPECT_NEAR(score("5.", {{"5", 9}, {"6", 1}}), 100, 1e-9);
  EXPECT_NEAR(score("two", {{"2", 9}, {"3", 1}}), 100, 1e-9);
  EXPECT_NEAR(score("The Cat", {{"cat", 5}, {"dog", 5}}), 100, 1e-9);
  EXPECT_NEAR(score("dont know", {{"don't know", 5}, {"x", 5}}), 100, 1e-9);
  EXPECT_NEAR(score("1,000", {{"1000", 5}, {"x", 5}}), 100, 1e-9);
  EXPECT_NEAR(score("red-white", {{"red white", 5}, {"x", 5}}), 100, 1e-9);
  EXPECT_NEAR(score("left/right", {{"left right", 5}, {"x", 5}}), 100, 1e-9);
  EXPECT_NEAR(score("none", {{"0", 4}, {"x", 6}}), 100, 1e-9);
  EXPECT_NEAR(score("Im ok", {{"i'm ok", 4}, {"x", 6}}), 0, 1e-9);
  EXPECT_NEAR(score("a", {{"a", 5}, {"b", 5}}), 100, 1e-9);
  EXPECT_NEAR(score("it is 5.", {{"it is 5", 5}, {"x", 5}}), 100, 1e-9);
  EXPECT_NEAR(score("coca,cola", {{"coca cola", 5}, {"x", 5}}), 100, 1e-9);
  EXPECT_NEAR(score("coca,cola", {{"cocacola", 5}, {"x", 5}}), 0, 1e-9);
  EXPECT_NEAR(score("3.5", {{"3.5", 5}, {"x", 5}}), 100, 1e-9);
}

TEST(VqaNormalized, EqualsTheOfficialForms) {
  for (const auto& [text, form] : {std::pair{"5.", "5"},
                                   {"a.b", "ab"},
                                   {"3.5", "3.5"},
                                   {"U.S.", "us"},
                                   {"1,5 - 2", "15 2"},
                                   {"red,white", "red white"},
                                   {"x@y.com", "x ycom"},
                                   {"10%", "10%"},
                                   {"a-b", "b"},
                                   {".5", ".5"},
                                   {"5.a", "5a"}}) {
    EXPECT_EQ(vqa_normalized(text), form) << text;
  }
}

TEST(ExactMatch, IgnoresCaseAndOuterBlanksAlone) {
  EXPECT_TRUE(exact_match(" Red\n", "red"));
  EXPECT_FALSE(exact_match("red.", "red"));
  EXPECT_FALSE(exact_match("re d", "red"));
}

}  // namespace
}  // namespace ocelli::eval
