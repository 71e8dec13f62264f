#include "ocelli/data/vlmeval_tsv.h"

#include <gmock/gmock.h>

#include "ocelli/base/base64.h"
#include "ocelli/base/file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/data/format_test_support.h"
#include "ocelli/data/python_list.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kBytes(90, 'p');
const std::string kOther(90, 'q');

std::shared_ptr<const Dataset> table_of(const TemporaryFolder& folder, const std::string& text, const std::string& split = "") {
  spill(folder / "t.tsv", text);
  DatasetOptions options = test::from(folder / "t.tsv");
  options.split = split;
  return open_vlmeval_tsv(options);
}

TEST(VlmevalTsv, ReadsChoicesAnswersAndPictures) {
  const TemporaryFolder folder;
  const auto data = table_of(folder,
                             "index\timage\tquestion\thint\tA\tB\tC\tanswer\tcategory\tl2-category\tsplit\n"
                             "0\t" +
                                 encode_base64(kBytes) +
                                 "\tWhich?\tLook.\tcat\t\"a \"\"dog\"\"\"\t\tB\tkinds\tk2\tdev\n"
                                 "1\t0\tWhat?\t\t\t\t\t['x', \"y's\", 'x']\t\t\ttest\n"
                                 "2\t['" +
                                 encode_base64(kBytes) + "', '" + encode_base64(kOther) + "']\tq\t\t\t\t\tyes\t\t\ttest\n");
  ASSERT_EQ(data->size(), 3);
  const Sample choice = data->get(0);
  EXPECT_EQ(choice.id, "0");
  EXPECT_EQ(choice.turns[0].text, "<image>\nLook.\nWhich?\nA. cat\nB. a \"dog\"");
  EXPECT_EQ(choice.turns[1].text, "B");
  EXPECT_EQ(choice.question_types, std::vector<std::string>{"kinds"});
  EXPECT_EQ(choice.extra["l2-category"], "k2");
  EXPECT_EQ(*choice.pictures.at(0).bytes, kBytes);
  EXPECT_THAT(choice.pictures[0].where, HasSubstr("row 1"));
  const Sample open = data->get(1);
  EXPECT_EQ(*open.pictures.at(0).bytes, kBytes);  // the row of index 0 carries it
  EXPECT_EQ(open.turns[1].text, "x");
  EXPECT_EQ(open.references, (std::vector<std::vector<std::string>>{{"x", "y's", "x"}}));
  EXPECT_EQ(data->get(2).pictures.size(), 2U);
  EXPECT_EQ(*data->get(2).pictures[1].bytes, kOther);
  EXPECT_EQ(table_of(folder, read_file(folder / "t.tsv"), "test")->size(), 2);
}

TEST(VlmevalTsv, ReadsPicturesFromPathsBelowTheRoot) {
  const TemporaryFolder folder;
  const auto data = table_of(
      folder, "index\timage_path\tquestion\tanswer\n0\tsub/x.png\tq\ta\n1\t['a.png', 'b.png']\tq\ta\n2\t../x.png\tq\ta\n");
  EXPECT_EQ(data->get(0).pictures.at(0).path, folder / "sub/x.png");
  EXPECT_EQ(data->get(1).pictures.size(), 2U);
  EXPECT_THAT(error_of([&] { data->get(2); }), AllOf(HasSubstr("row 3"), HasSubstr("outside")));
}

TEST(VlmevalTsv, NamesRowColumnAndValueOfFaults) {
  const TemporaryFolder folder;
  const std::string head = "index\timage\tquestion\tA\tB\tanswer\n";
  const std::string good = encode_base64(kBytes);
  const std::pair<std::string, const char*> cases[] = {
      {"0\t" + good.substr(0, 70) + "!" + good.substr(71) + "\tq\t\t\ta", "byte 70"},
      {"0\t" + good.substr(0, 70) + "\tq\t\t\ta", "multiple of 4"},
      {"0\t7\tq\t\t\ta", "no row has it"},
      {"0\t0\tq\t\t\ta", "that row has none"},
      {"0\t\tq\t\t\ta", "\"image\" is empty"},
      {"0\t" + good + "\tq\tx\ty\tC", "\"C\", expected one of its options AB"},
      {"0\t" + good + "\tq\t\t\t", "\"answer\" is empty"},
      {"0\t" + good + "\tq\t\t\t['a', b]", "expected a string in quotes"},
      {"0\t" + good + "\tq\t\t\t[]", "empty list"},
      {"0\t" + good + "\tis <image> it?\t\t\ta\t", "7 cells"},
      {"0\t" + good + "\t<image> or <image>?\t\t\ta", "2 <image> marks for 1 pictures"},
  };
  for (const auto& [row, what] : cases) {
    const auto data = table_of(folder, head + row + "\n");
    EXPECT_THAT(error_of([&] { data->get(0); }), AllOf(HasSubstr("t.tsv, row 1"), HasSubstr(what))) << row;
  }
  EXPECT_THAT(error_of([&] { table_of(folder, "index\tquestion\n0\tq\n"); }),
              AllOf(HasSubstr("answer"), HasSubstr("index, question")));
  EXPECT_THAT(error_of([&] { table_of(folder, head + "0\t0\tq\t\t\ta\n", "dev"); }), HasSubstr("split"));
}

TEST(VlmevalTsv, WhatIsWrittenReadsBack) {
  const TemporaryFolder folder;
  Sample sample;
  sample.id = "s";
  sample.pictures = {Picture(kBytes, "a.png", "a"), Picture(kOther, "b.png", "b")};
  sample.turns = {{Turn::Role::kUser, "<image>\n<image>\nq1\tx\n\"y\""},
                  {Turn::Role::kAssistant, "a1"},
                  {Turn::Role::kUser, "q2"},
                  {Turn::Role::kAssistant, "a2"}};
  sample.independent = true;
  sample.question_types = {"t1", "t2"};
  sample.references = {{"a1", "it's"}, {"a2"}};
  sample.extra["source"] = "s";
  const auto writer = write_vlmeval_tsv(test::into(folder / "w.tsv"));
  writer->write(sample);
  EXPECT_FALSE(std::filesystem::exists(folder / "w.tsv"));
  writer->finish();
  EXPECT_EQ(writer->lost(), (std::map<std::string, int64_t>{{"id", 1}, {"source", 1}}));
  const auto data = open_vlmeval_tsv(test::from(folder / "w.tsv"));
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(data->get(0).turns[0].text, sample.turns[0].text);
  EXPECT_EQ(data->get(0).references[0], sample.references[0]);
  const Sample second = data->get(1);
  EXPECT_EQ(*second.pictures.at(1).bytes, kOther);
  EXPECT_EQ(second.turns[0].text, "<image>\n<image>\nq2");
  EXPECT_EQ(second.question_types, std::vector<std::string>{"t2"});

  const auto lists = write_vlmeval_tsv(test::into(folder / "lists.tsv"));
  sample.independent = false;
  sample.turns = {{Turn::Role::kUser, "<image>\n<image>\nWhat is written?"}, {Turn::Role::kAssistant, "['x', 'y']"}};
  sample.references.clear();
  lists->write(sample);
  EXPECT_EQ(lists->lost().count("answer"), 0U);
  sample.references = {{"b", "b", "['x', 'y']"}};
  lists->write(sample);
  lists->finish();
  EXPECT_EQ(lists->lost().at("answer"), 1);
  EXPECT_EQ(open_vlmeval_tsv(test::from(folder / "lists.tsv"))->get(0).turns[1].text, "['x', 'y']");

  sample.pictures.clear();
  EXPECT_THAT(error_of([&] { write_vlmeval_tsv(test::into(folder / "x.tsv"))->write(sample); }), HasSubstr("no picture"));
  sample.pictures = {Picture(kBytes, "a.png", "a")};
  sample.turns.insert(sample.turns.end(), {{Turn::Role::kUser, "q2"}, {Turn::Role::kAssistant, "a2"}});
  EXPECT_THAT(error_of([&] { write_vlmeval_tsv(test::into(folder / "x.tsv"))->write(sample); }),
              HasSubstr("build on each other"));
}

TEST(PythonList, ReadsWhatPythonWrites) {
  const std::vector<std::string> texts = {"plain", "it's", "say \"x\"", "both ' and \"", "back\\slash", "line\nline", "ü €", ""};
  EXPECT_EQ(read_python_list(write_python_list(texts), "x"), texts);
  EXPECT_EQ(read_python_list(R"([ 'a\x41\u20ac\U0001F600' , ])", "x"), std::vector<std::string>{"aA€😀"});
  EXPECT_EQ(read_python_list("[]", "x"), std::vector<std::string>{});
  for (const char* wrong : {"['a'", "['a' 'b']", "['a'] x", R"(['\q'])", R"(['\ud800'])", "['a", "[a]", "[,]"})
    EXPECT_THAT(error_of([&] { read_python_list(wrong, "cell"); }), HasSubstr("cell")) << wrong;
}

}  // namespace
}  // namespace ocelli::data
