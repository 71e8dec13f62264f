#include "ocelli/data/conversation_dataset.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"
#include "ocelli/data/question_filter.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kGood =
    R"({"id":"a","image":"x.png","conversations":[{"from":"human","value":"<image>\nWhat?"},{"from":"gpt","value":"A cat."}]})";

std::shared_ptr<const Dataset> dataset_of(const TemporaryFolder& folder, const std::string& text) {
  spill(folder / "d.json", text);
  return open_dataset({.name = "d", .path = folder / "d.json", .images = {}});
}

/// The message for one broken record.
std::string fault_of(const std::string& record) {
  const TemporaryFolder folder;
  const auto data = dataset_of(folder, record + "\n");
  return error_of([&] { data->get(0); });
}

TEST(ConversationDataset, MayBeEditedWhileItIsOpen) {
  const TemporaryFolder folder;
  spill(folder / "d.jsonl",
        std::string(R"({"id":"a","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"x"}]})") + "\n");
  const auto data = open_conversations({.name = "d", .path = folder / "d.jsonl", .images = {}});
  std::filesystem::resize_file(folder / "d.jsonl", 0);
  EXPECT_EQ(data->get(0).turns[1].text, "x");
}

TEST(ConversationDataset, ReadsArraysAndLinesAlike) {
  const TemporaryFolder folder;
  const std::string second = R"({"conversations":[{"from":"human","value":"\"[{\\ hi"},{"from":"gpt","value":"}]"}]})";
  for (const std::string& text : {std::string(kGood) + "\n\n" + second, "[\n" + std::string(kGood) + " ,\n " + second + "]\n"}) {
    const auto data = dataset_of(folder, text);
    ASSERT_EQ(data->size(), 2);
    const Sample first = data->get(0);
    EXPECT_EQ(first.id, "a");
    ASSERT_EQ(first.pictures.size(), 1U);
    EXPECT_EQ(first.pictures[0].path, folder / "x.png");
    EXPECT_EQ(first.turns[0].text, "<image>\nWhat?");
    EXPECT_EQ(first.turns[1].role, Turn::Role::kAssistant);
    EXPECT_EQ(first.count(), 1);
    EXPECT_EQ(data->get(1).id, "1");  // its index, when the record gives none
    EXPECT_EQ(data->get(1).turns[1].text, "}]");
  }
}

TEST(ConversationDataset, ABrokenRecordLeavesTheOthersReadable) {
  const TemporaryFolder folder;
  const auto data = dataset_of(folder, std::string("{\"id\": }\n") + kGood);
  ASSERT_EQ(data->size(), 2);
  EXPECT_THAT(error_of([&] { data->get(0); }), HasSubstr("record 0"));
  EXPECT_EQ(data->get(1).id, "a");
}

TEST(ConversationDataset, IndependentQuestionsCountEach) {
  const TemporaryFolder folder;
  const auto data =
      dataset_of(folder,
                 R"({"image":["x.png","y.png"],"independent":true,"question_types":["shape","color"],"answers":[["a","b"],["c"]],
          "conversations":[{"from":"human","value":"q1"},{"from":"gpt","value":"a1"},{"from":"human","value":"q2"},{"from":"gpt","value":"a2"}]})"
                 "\n");
  // JSONL: the record above spans two lines, so it must be given as an array.
  EXPECT_EQ(data->size(), 2);
  const auto array =
      dataset_of(folder,
                 R"([{"image":["x.png","y.png"],"independent":true,"question_types":["shape","color"],"answers":[["a","b"],["c"]],
          "conversations":[{"from":"human","value":"q1"},{"from":"gpt","value":"a1"},{"from":"human","value":"q2"},{"from":"gpt","value":"a2"}]}])");
  ASSERT_EQ(array->size(), 1);
  const Sample sample = array->get(0);
  EXPECT_EQ(sample.count(), 2);
  EXPECT_EQ(sample.pictures.size(), 2U);
  EXPECT_EQ(sample.turns[0].text, "<image>\n<image>\nq1");  // no mark anywhere: all stand in front
  EXPECT_EQ(sample.turns[2].text, "q2");
  EXPECT_EQ(sample.references[0], (std::vector<std::string>{"a", "b"}));
}

TEST(ConversationDataset, NamesFileRecordAndField) {
  struct Case {
    const char* record;
    const char* field;
    const char* what;
  };
  for (
      const Case& c : std::vector<Case>{
          {R"({"id":"r7","image":"x.png"})", "conversations", "array of turns"},
          {R"({"id":"r7","conversations":[]})", "r7", "must end with an answer"},
          {R"({"id":"r7","conversations":[{"from":"human","value":"q"}]})", "r7", "must end with an answer"},
          {R"({"id":"r7","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":" \n"}]})", "turn 1",
           "answer is empty"},
          {R"({"id":"r7","conversations":[{"from":"human","value":"q"},{"from":"human","value":"q"}]})", "turn 1",
           "must alternate"},
          {R"({"id":"r7","conversations":[{"from":"robot","value":"q"}]})", "conversations[0]", "a turn of \"robot\""},
          {R"({"id":"r7","conversations":[{"from":"human","value":3}]})", "conversations[0]", "value is 3, expected a string"},
          {R"({"id":"r7","image":"x.png","conversations":[{"from":"human","value":"<image><image>"},{"from":"gpt","value":"a"}]})",
           "r7", "2 <image> marks for 1 pictures"},
          {R"({"id":"r7","conversations":[{"from":"human","value":"<image>"},{"from":"gpt","value":"a"}]})", "r7",
           "1 <image> marks for 0 pictures"},
          {R"({"id":"r7","image":"","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})", "image",
           "empty"},
          {R"({"id":"r7","question_types":["x","y"],"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})",
           "question_types", "2 types for 1 answers"},
          {R"({"id":"r7","answers":[[]],"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})", "answers",
           "list of strings"},
      }) {
    EXPECT_THAT(fault_of(c.record), AllOf(HasSubstr("d.json"), HasSubstr("r7"), HasSubstr(c.field), HasSubstr(c.what)))
        << c.record;
  }
}

TEST(ConversationDataset, ReadsShareGptAndOpenAiForms) {
  const TemporaryFolder folder;
  const auto data = dataset_of(
      folder,
      R"({"images":["x.png"],"system":"Be brief.","conversations":[{"from":"human","value":"<image>q"},{"from":"gpt","value":"a"}]})"
      "\n"
      R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAEC"}},{"type":"text","text":"q"}]},{"role":"assistant","content":"a"}],"source":{"page":3}})"
      "\n"
      R"({"image":{"<image_00>":"x.png","<image_01>":"y.png"},"conversations":[{"role":"user","content":"<image_01> then <image_00>"},{"role":"assistant","content":"a"}]})"
      "\n"
      R"({"conversations":[{"from":"gpt","value":"hello"},{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})"
      "\n");
  const Sample shared = data->get(0), openai = data->get(1), tabled = data->get(2), led = data->get(3);
  EXPECT_EQ(shared.turns[0].role, Turn::Role::kSystem);
  EXPECT_EQ(shared.turns[0].text, "Be brief.");
  EXPECT_EQ(openai.turns[0].text, "<image>\nq");
  ASSERT_TRUE(openai.pictures[0].bytes);
  EXPECT_EQ(*openai.pictures[0].bytes, std::string("\0\1\2", 3));
  EXPECT_EQ(openai.extra.dump(), R"({"source":{"page":3}})");
  EXPECT_EQ(tabled.turns[0].text, "<image> then <image>");
  EXPECT_EQ(tabled.pictures[0].path, folder / "y.png");
  EXPECT_EQ(tabled.pictures[1].path, folder / "x.png");
  EXPECT_EQ(led.turns[0].text, "q");  // a first turn of the assistant's is left out
}

TEST(ConversationDataset, PicturesStayBelowTheirFolder) {
  const std::string turns = R"("conversations":[{"from":"human","value":"<image>"},{"from":"gpt","value":"a"}]})";
  for (const char* path : {"../x.png", "/etc/passwd", "a/../../x.png"}) {
    EXPECT_THAT(fault_of(R"({"id":"r7","image":")" + std::string(path) + "\"," + turns),
                AllOf(HasSubstr("r7"), HasSubstr(path), HasSubstr("lies outside"), HasSubstr("images")));
  }
  EXPECT_THAT(fault_of(R"({"id":"r7","images":"x.png",)" + turns), AllOf(HasSubstr("images"), HasSubstr("expected a list")));
  EXPECT_THAT(fault_of(R"({"id":"r7","image":"https://a.b/x.png",)" + turns), HasSubstr("on the network"));
}

TEST(ConversationDataset, WhatIsWrittenReadsBackTheSame) {
  const TemporaryFolder folder;
  for (const char* name : {"x.png", "y.png"}) spill(folder / name, name);
  const auto data = dataset_of(
      folder,
      R"({"id":"a","images":["x.png","y.png"],"independent":true,"question_types":["s","c"],"answers":[["1","2"],["3"]],"regions":[{"picture":1,"text":"cat","box":[1,2,3.5,4],"mask":{"size":[2,2],"counts":[1,3]}}],"system":"Be.","licence":"MIT","conversations":[{"from":"human","value":"<image>\n<image>\nq"},{"from":"gpt","value":"a"},{"from":"human","value":"r"},{"from":"gpt","value":"b"}]})"
      "\n");
  const Sample first = data->get(0);
  for (const char* format : {"llava", "sharegpt", "messages"}) {
    for (const char* name : {"out.json", "out.jsonl"}) {
      const auto writer = find_format(format).write({.path = folder / name, .images = folder.path()});
      writer->write(first);
      writer->finish();
      const Sample again = open_dataset({.name = "o", .path = folder / name, .images = folder.path()})->get(0);
      EXPECT_EQ(again.pictures[1].path, folder / "y.png");
      EXPECT_EQ(again.turns.size(), first.turns.size()) << format;
      EXPECT_EQ(again.turns[0].text, "Be.");
      EXPECT_EQ(again.references, first.references);
      EXPECT_EQ(again.question_types, first.question_types);
      EXPECT_TRUE(again.independent);
      EXPECT_EQ(again.regions[0].mask, first.regions[0].mask);
      EXPECT_EQ(again.regions[0].box, first.regions[0].box);
      EXPECT_EQ(again.extra, first.extra);
      EXPECT_TRUE(writer->lost().empty());
    }
  }
}

TEST(ConversationDataset, RefusesFilesThatAreNoRecords) {
  const TemporaryFolder folder;
  const std::string good = kGood;
  EXPECT_THAT(error_of([&] { dataset_of(folder, "[" + good + ","); }), HasSubstr("truncated"));
  EXPECT_THAT(error_of([&] { dataset_of(folder, "[" + good.substr(0, 40)); }), HasSubstr("truncated"));
  EXPECT_THAT(error_of([&] { dataset_of(folder, " \n"); }), HasSubstr("empty"));
  EXPECT_THAT(error_of([&] { dataset_of(folder, "[]"); }), HasSubstr("no record"));
  EXPECT_THAT(error_of([&] { dataset_of(folder, "[" + good + ", 7]"); }), HasSubstr("must be an object"));
  EXPECT_THAT(error_of([&] { dataset_of(folder, "[" + good + "] x"); }), HasSubstr("something follows"));
  EXPECT_THAT(error_of([&] { open_dataset({.name = "d", .format = "punched cards", .path = folder / "d.json", .images = {}}); }),
              HasSubstr("known are llava"));
  EXPECT_THAT(error_of([&] { open_dataset({.name = "d", .path = folder / "absent.json", .images = {}}); }),
              HasSubstr("absent.json"));
  const auto deep = dataset_of(folder, "[" + std::string(100000, '[') + std::string(100000, ']') + "]");
  EXPECT_THAT(error_of([&] { deep->get(0); }), HasSubstr("d.json"));
}

TEST(QuestionFilter, KeepsQuestionsOfTheTypesAndThePictures) {
  const TemporaryFolder folder;
  const std::string turns =
      R"("conversations":[{"from":"human","value":"<image>\nq1"},{"from":"gpt","value":"a1"},{"from":"human","value":"q2"},{"from":"gpt","value":"a2"}])";
  const std::string record = R"({"id":"r","image":"x.png","independent":true,"question_types":["shape","color"],)" + turns + "}";
  const std::string other = R"({"image":"x.png","independent":true,"question_types":["size","size"],)" + turns + "}";
  const auto data = dataset_of(folder, record + "\n" + other + "\n{broken\n");
  const QuestionFilter colors(data, {"color"});
  ASSERT_EQ(colors.size(), 2);  // the broken one is reported when it is drawn
  const Sample sample = colors.get(0);
  ASSERT_EQ(sample.turns.size(), 2U);
  EXPECT_EQ(sample.turns[0].text, "<image>\nq2");
  EXPECT_EQ(sample.turns[1].text, "a2");
  EXPECT_EQ(sample.question_types, std::vector<std::string>{"color"});
  EXPECT_THAT(error_of([&] { colors.get(1); }), HasSubstr("record 2"));
  EXPECT_EQ(QuestionFilter(data, {"shape"}).get(0).turns[0].text, "<image>\nq1");
}

TEST(QuestionFilter, NamesTheTypesThereAre) {
  const TemporaryFolder folder;
  const auto data = dataset_of(
      folder,
      R"({"independent":true,"question_types":["shape"],"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})");
  EXPECT_THAT(error_of([&] { QuestionFilter(data, {"colour"}); }), AllOf(HasSubstr("colour"), HasSubstr("there are shape")));
}

}  // namespace
}  // namespace ocelli::data
