#include "ocelli/data/text_only.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"
#include "ocelli/data/format_test_support.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::shared_ptr<const Dataset> texts_of(const TemporaryFolder& folder, const std::string& text, const std::string& prompts = "") {
  spill(folder / "t.jsonl", text);
  DatasetOptions options = test::from(folder / "t.jsonl");
  if (!prompts.empty()) {
    spill(folder / "p.json", prompts);
    options.prompts = folder / "p.json";
  }
  return open_text_only(options);
}

std::string said(const Sample& sample) {
  std::string out;
  for (const Turn& turn : sample.turns) out += std::string(1, "SUA"[static_cast<int>(turn.role)]) + ":" + turn.text + "|";
  return out;
}

TEST(TextOnly, ReadsEveryForm) {
  const TemporaryFolder folder;
  const auto data = texts_of(folder, R"({"instruction":"i","input":"x","output":"o","history":[["q","a"]],"system":"s","source":3}
{"instruction":"i","input":"","output":"o"}
{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}
{"id":"o7","system_prompt":"s","question":"q","response":"a"}
{"id":"0","data":["q","a","q2","a2"]}
)");
  ASSERT_EQ(data->size(), 5);
  EXPECT_EQ(said(data->get(0)), "S:s|U:q|A:a|U:i\nx|A:o|");
  EXPECT_EQ(data->get(0).extra["source"], 3);
  EXPECT_EQ(said(data->get(1)), "U:i|A:o|");
  EXPECT_EQ(said(data->get(2)), "U:q|A:a|");
  EXPECT_EQ(said(data->get(3)), "S:s|U:q|A:a|");
  EXPECT_EQ(data->get(3).id, "o7");
  EXPECT_EQ(said(data->get(4)), "U:q|A:a|U:q2|A:a2|");
}

TEST(TextOnly, ABareTextNeedsAWording) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { texts_of(folder, R"({"text":"t"})")->get(0); }),
              AllOf(HasSubstr("t.jsonl, record 0"), HasSubstr("prompts file"), HasSubstr(R"({"text": ""})")));
  EXPECT_EQ(said(texts_of(folder, R"({"text":"t"})", R"({"text": ""})")->get(0)), "U:|A:t|");
}

TEST(TextOnly, NamesRecordAndField) {
  const TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {R"({"instruction":"i"})", "output"},
      {R"({"instruction":"i","output":" "})", "empty"},
      {R"({"instruction":"i","output":"o","history":[["q"]]})", "history"},
      {R"({"data":["q"]})", "end with an answer"},
      {R"({"other":1})", "expected one of"},
      {R"({"image":"x.png","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})", "picture, \"x.png\""},
      {R"([1])", "must be an object"},
  };
  for (const auto& [record, what] : cases)
    EXPECT_THAT(error_of([&] { texts_of(folder, record)->get(0); }), AllOf(HasSubstr("t.jsonl"), HasSubstr(what))) << record;
  const std::string deep = R"({"instruction":)" + std::string(10000, '[') + std::string(10000, ']') + "}";
  EXPECT_THAT(error_of([&] { texts_of(folder, deep)->get(0); }), AllOf(HasSubstr("record 0"), HasSubstr("64 levels")));
}

TEST(TextOnly, WhatIsWrittenReadsBack) {
  const TemporaryFolder folder;
  const Sample sample = texts_of(folder, R"({"instruction":"i","output":"o","system":"s","source":3})")->get(0);
  const auto writer = write_text_only(test::into(folder / "w.jsonl"));
  writer->write(sample);
  writer->finish();
  const Sample back = open_text_only(test::from(folder / "w.jsonl"))->get(0);
  EXPECT_EQ(said(back), said(sample));
  EXPECT_EQ(back.extra["source"], 3);
  Sample pictured = sample;
  pictured.pictures.emplace_back("x.png");
  EXPECT_THAT(error_of([&] { writer->write(pictured); }), HasSubstr("1 pictures"));
}

}  // namespace
}  // namespace ocelli::data
