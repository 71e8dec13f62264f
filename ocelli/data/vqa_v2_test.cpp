#include "ocelli/data/vqa_v2.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"
#include "ocelli/data/format_test_support.h"
#include "ocelli/data/json_scan.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kQuestions = R"({"info": {"questions": [1]}, "data_subtype": "train2014", "questions": [
  {"image_id": 42, "question": "Is it ]?", "question_id": 420}, {"image_id": 7, "question": "What?", "question_id": 70},
  {"image_id": 42, "question": "How many?", "question_id": 421}]})";
constexpr const char* kAnswers = R"({"annotations": [
  {"question_id": 70, "image_id": 7, "answers": [{"answer": "a"}, {"answer": "b"}, {"answer": "b"}]},
  {"question_id": 421, "image_id": 42, "answer_type": "number", "multiple_choice_answer": "2", "answers": [{"answer": "2"}, {"answer": "3"}]},
  {"question_id": 420, "image_id": 42, "answer_type": "yes/no", "multiple_choice_answer": "yes", "answers": [{"answer": "yes"}]}]})";

DatasetOptions vqa_of(const TemporaryFolder& folder, const std::string& questions, const std::string& answers) {
  spill(folder / "x_questions.json", questions);
  if (!answers.empty()) spill(folder / "x_annotations.json", answers);
  return test::from(folder / "x_questions.json");
}

TEST(VqaV2, MergesAPicturesQuestions) {
  const TemporaryFolder folder;
  const auto data = open_vqa_v2(vqa_of(folder, kQuestions, kAnswers));
  ASSERT_EQ(data->size(), 2);
  const Sample first = data->get(0);
  EXPECT_TRUE(first.independent);
  EXPECT_EQ(first.id, "42");
  EXPECT_EQ(first.count(), 2);
  EXPECT_EQ(first.pictures[0].path, folder / "COCO_train2014_000000000042.jpg");
  EXPECT_EQ(first.turns[0].text, "<image>\nIs it ]?");
  EXPECT_EQ(first.turns[2].text, "How many?");
  EXPECT_EQ(first.turns[3].text, "2");
  EXPECT_EQ(first.question_types, (std::vector<std::string>{"yes/no", "number"}));
  EXPECT_EQ(first.references[1], (std::vector<std::string>{"2", "3"}));
  EXPECT_EQ(data->get(1).turns[1].text, "b");  // without multiple_choice_answer: the most frequent
}

TEST(VqaV2, QuestionsWithoutAnswersAreRefused) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { open_vqa_v2(vqa_of(folder, kQuestions, "")); }),
              AllOf(HasSubstr("questions alone"), HasSubstr("annotations"), HasSubstr("x_annotations.json")));
  EXPECT_THAT(error_of([&] { open_vqa_v2(vqa_of(folder, kQuestions, R"({"annotations": []})"))->get(0); }),
              AllOf(HasSubstr("question 0"), HasSubstr("420"), HasSubstr("no annotation")));
  EXPECT_THAT(error_of([&] { open_vqa_v2(vqa_of(folder, kAnswers, kAnswers)); }), HasSubstr("no list \"questions\""));
  EXPECT_THAT(error_of([&] { open_vqa_v2(vqa_of(folder, R"({"questions": [{"image_id": 1}]})", kAnswers)); }),
              HasSubstr("data_subtype"));
  EXPECT_THAT(error_of([&] { open_vqa_v2(vqa_of(folder, std::string(kQuestions).substr(0, 200), kAnswers)); }),
              HasSubstr("x_questions.json"));
  EXPECT_THAT(
      error_of([&] { open_vqa_v2(vqa_of(folder, R"({"data_subtype": "a", "questions": [{"image_id": "x"}]})", kAnswers)); }),
      AllOf(HasSubstr("question 0"), HasSubstr("image_id is \"x\"")));
  EXPECT_THAT(error_of([&] { open_vqa_v2(vqa_of(folder, kQuestions, R"({"annotations": )" + std::string(10000, '[') + "}")); }),
              HasSubstr("x_annotations.json"));
}

TEST(VqaV2, WhatIsWrittenReadsBack) {
  const TemporaryFolder folder;
  Sample sample;
  sample.id = "9";
  sample.pictures = {Picture("bytes", "", "memory")};
  sample.turns = {{Turn::Role::kUser, "<image>\nq1"},
                  {Turn::Role::kAssistant, "a1"},
                  {Turn::Role::kUser, "q2"},
                  {Turn::Role::kAssistant, "a2"}};
  sample.independent = true;
  sample.question_types = {"other", "number"};
  sample.references = {{"a1", "b1"}, {"a2"}};
  const auto writer = write_vqa_v2(test::into(folder / "w.json"));
  writer->write(sample);
  sample.id = "name";
  writer->write(sample);
  writer->finish();
  EXPECT_EQ(writer->lost(), (std::map<std::string, int64_t>{{"id", 1}}));
  const auto data = open_vqa_v2(test::from(folder / "w.json"));
  ASSERT_EQ(data->size(), 2);
  const Sample back = data->get(0);
  EXPECT_EQ(back.id, "9");
  EXPECT_EQ(back.turns[0].text, "<image>\nq1");
  EXPECT_EQ(back.turns[2].text, "q2");
  EXPECT_EQ(back.references, sample.references);
  EXPECT_EQ(back.question_types, sample.question_types);
  EXPECT_EQ(*back.pictures[0].encoded(), "bytes");
}

TEST(JsonScan, FindsValuesAtTheTopAlone) {
  const std::string_view object = R"( { "a" : {"b": [1, "}"]}, "b" : "x\"y" , "c":7 } )";
  EXPECT_EQ(find_value(object, "a"), R"({"b": [1, "}"]})");
  EXPECT_EQ(find_value(object, "b"), R"("x\"y")");
  EXPECT_EQ(find_integer(object, "c", "x"), 7);
  EXPECT_EQ(find_value(object, "d"), std::nullopt);
  for (const char* broken : {"", "{", "{\"a", "{\"a\"", "{\"a\":", "[1]", "{a:1}", "{\"b\" 1}"})
    EXPECT_FALSE(find_value(broken, "z")) << broken;
  EXPECT_THAT(error_of([&] { find_integer(object, "b", "rec"); }), HasSubstr("rec: b is"));
}

}  // namespace
}  // namespace ocelli::data
