#include "ocelli/data/prompt_forms.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"
#include "ocelli/data/box_text.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

PromptForms forms_of(std::string_view text) {
  const TemporaryFolder folder;
  spill(folder / "p.json", text);
  return PromptForms::read(folder / "p.json");
}

TEST(PromptForms, ArePlainWithoutAFile) {
  const PromptForms plain = PromptForms::read("");
  EXPECT_EQ(plain.fill("short_answer", 3, {{"question", "What is {this}?"}}), "What is {this}?");
  EXPECT_EQ(plain.fill("option_letter", 0, {{"question", "q"}, {"options", "A. x"}}), "q\nA. x");
  EXPECT_EQ(plain.fill("caption", 0, {}), "Describe the picture.");
  EXPECT_FALSE(plain.has("box"));
  EXPECT_THAT(error_of([&] {
                plain.fill("text_to_region", 0, {{"text", "x"}});
              }),
              AllOf(HasSubstr("text_to_region"), HasSubstr("prompts file")));
}

TEST(PromptForms, FillsAndChoosesWhatTheFileSays) {
  const PromptForms forms = forms_of(R"({"short_answer": "{{{question}}}\nOne word.", "caption": ["a", "b", "c"]})");
  EXPECT_EQ(forms.fill("short_answer", 0, {{"question", "q"}}), "{q}\nOne word.");
  EXPECT_EQ(forms.fill("caption", 4, {}), "b");
  EXPECT_EQ(forms.fill("ocr", 0, {}), "Read the text in the picture.");  // not in the file: plain
  EXPECT_THAT(error_of([&] { forms.fill("short_answer", 0, {}); }), AllOf(HasSubstr("short_answer"), HasSubstr("{question}")));
}

TEST(PromptForms, NameWhatIsWrongInAFile) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"short": "x"})", "no kind \"short\""},
      {R"({"caption": []})", "without any wording"},
      {R"({"caption": 3})", "caption is 3"},
      {R"({"caption": "{text}"})", "no field \"text\""},
      {R"({"caption": "a } b"})", "single \"}\" at byte 2"},
      {R"({"caption": "a { b"})", "single \"{\" at byte 2"},
      {R"({"caption": "<image> b"})", "<image>"},
      {R"([])", "expected an object"},
  };
  for (const auto& [text, what] : cases) {
    EXPECT_THAT(error_of([&] { forms_of(text); }), AllOf(HasSubstr("p.json"), HasSubstr(what))) << text;
  }
}

TEST(BoxText, WritesEveryScale) {
  const auto written = [](std::string_view wording) {
    return box_text(forms_of(R"({"box": ")" + std::string(wording) + "\"}"), 0, {50, 25.5, 200, 100}, 200, 100);
  };
  EXPECT_EQ(written("{x0} {y0} {x1} {y1}"), "50 25.5 200 100");
  EXPECT_EQ(written("{x0/1} {y0/1} {x1/1} {y1/1}"), "0.25 0.26 1.00 1.00");  // 0.255 is stored a little above
  EXPECT_EQ(written("{x0/square} {y0/square} {x1/square} {y1/square}"), "0.25 0.38 1.00 0.75");
  EXPECT_EQ(written("({x0/999},{y0/999}),({x1/999},{y1/999})"), "(250,255),(999,999)");
  EXPECT_EQ(written("[{x0/1000}, {y0/1000}, {x1/1000}, {y1/1000}]"), "[250, 255, 1000, 1000]");
}

TEST(BoxText, JoinsSeveral) {
  const PromptForms forms = forms_of(R"json({"box": "({x0},{y0})", "box_separator": ";"})json");
  EXPECT_EQ(boxes_text(forms, 0, {{1, 2, 3, 4}, {5, 6, 7, 8}}, 10, 10), "(1,2);(5,6)");
}

}  // namespace
}  // namespace ocelli::data
