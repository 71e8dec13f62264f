#include "ocelli/data/table_row.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"

namespace ocelli::data {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

Json bytes(const std::string& text) {
  return Json::binary({text.begin(), text.end()});
}

Sample read(Json row) {
  static const PromptForms prompts;
  Sample sample;
  read_table_row(std::move(row), {"/pictures", prompts, 7, "t.parquet, row 7"}, sample);
  return sample;
}

TEST(TableRow, ReadsPicturesInOrder) {
  const Sample sample = read({{"image_10", {{"bytes", bytes("ten")}, {"path", nullptr}}},
                              {"image_2", {{"bytes", bytes("two")}, {"path", "2.jpg"}}},
                              {"image_3", nullptr},
                              {"image_sizes", {1, 2}},
                              {"image", {{"bytes", nullptr}, {"path", "a/one.jpg"}}},
                              {"caption", "three"}});
  ASSERT_EQ(sample.pictures.size(), 3U);
  EXPECT_EQ(sample.pictures[0].path, "/pictures/a/one.jpg");
  EXPECT_EQ(*sample.pictures[1].bytes, "two");
  EXPECT_EQ(sample.pictures[1].path, "2.jpg");
  EXPECT_EQ(*sample.pictures[2].bytes, "ten");
  EXPECT_EQ(sample.id, "7");
  EXPECT_EQ(sample.extra["image_sizes"].size(), 2U);
}

TEST(TableRow, ReadsTurns) {
  const Json turns = {{{"from", "human"}, {"value", "<image>\nq"}, {"role", nullptr}}, {{"from", "gpt"}, {"value", "a"}}};
  const Json images = Json::array({{{"bytes", bytes("x")}, {"path", nullptr}}});
  for (const Json& written : {turns, Json(turns.dump())}) {
    const Sample sample =
        read({{"id", 3}, {"images", images}, {"conversations", written}, {"source", "coco"}, {"mask", bytes("m")}});
    EXPECT_EQ(sample.id, "3");
    EXPECT_EQ(sample.turns[0].text, "<image>\nq");
    EXPECT_EQ(*sample.pictures.at(0).bytes, "x");
    EXPECT_EQ(sample.extra, OrderedJson({{"source", "coco"}}));
  }
  const Sample cauldron =
      read({{"images", images},
            {"texts", {{{"user", "q1"}, {"assistant", "a1"}, {"source", "s"}}, {{"user", "q2"}, {"assistant", "a2"}}}}});
  ASSERT_EQ(cauldron.turns.size(), 4U);
  EXPECT_FALSE(cauldron.independent);
  EXPECT_EQ(cauldron.turns[0].text, "<image>\nq1");
}

TEST(TableRow, ReadsQuestionsAndCaptions) {
  const Sample vqa = read({{"question", "how many?"}, {"answers", {{{"answer", "2"}}, {{"answer", "3"}}, {{"answer", "3"}}}}});
  EXPECT_EQ(vqa.turns[1].text, "3");
  EXPECT_THAT(vqa.references.at(0), ElementsAre("2", "3", "3"));
  const Sample number = read({{"question", "how many?"}, {"answer", 4}});
  EXPECT_EQ(number.turns[1].text, "4");
  EXPECT_TRUE(number.references.empty());
  const Sample caption = read({{"caption", {"a cat", "a kitten"}}});
  EXPECT_EQ(caption.turns[1].text, "a cat");
  EXPECT_THAT(caption.references.at(0), ElementsAre("a cat", "a kitten"));
}

TEST(TableRow, NamesWhatIsWrong) {
  EXPECT_THAT(error_of([] {
                read({{"image", {{"bytes", nullptr}, {"path", nullptr}}}, {"caption", "c"}});
              }),
              HasSubstr("t.parquet, row 7, image: the picture has neither bytes nor path"));
  EXPECT_THAT(error_of([] { read({{"image", "../../etc/passwd"}, {"caption", "c"}}); }), HasSubstr("lies outside"));
  EXPECT_THAT(error_of([] { read({{"url", "x"}, {"width", 3}}); }), HasSubstr("no text in its columns (url, width)"));
  EXPECT_THAT(error_of([] { read({{"conversations", "[["}}); }), HasSubstr("row 7, conversations"));
  EXPECT_THAT(error_of([] { read({{"question", "q"}}); }), HasSubstr("the question has no answer"));
  EXPECT_THAT(error_of([] { read({{"texts", {{{"user", "q"}}}}}); }), HasSubstr("texts[0]"));
  EXPECT_THAT(error_of([] { read({{"image", 4}, {"caption", "c"}}); }), HasSubstr("image is 4, expected a picture"));
}

}  // namespace
}  // namespace ocelli::data
