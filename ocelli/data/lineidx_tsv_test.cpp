#include "ocelli/data/lineidx_tsv.h"

#include <gmock/gmock.h>

#include "ocelli/base/base64.h"
#include "ocelli/base/file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/data/format_test_support.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kTurns = R"([{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "a"}])";
constexpr const char* kPair = R"({"question": "q2", "chosen": "good", "rejected": "bad"})";

std::shared_ptr<const Dataset> rows_of(const TemporaryFolder& folder, const std::string& rows, const std::string& index = "") {
  spill(folder / "t.tsv", rows);
  std::filesystem::remove(folder / "t.lineidx");
  if (!index.empty()) spill(folder / "t.lineidx", index);
  return open_lineidx_tsv(test::from(folder / "t.tsv"));
}

TEST(LineidxTsv, ReadsMuffinsColumns) {
  const TemporaryFolder folder;
  const std::string first = "llava\t" + encode_base64("picture") + "\t" + kTurns + "\tcoco\ttrain\t7\tx/a.jpg\n";
  const std::string second = std::string("llava\t\t") + kPair + "\t\t\t\tsub/b.jpg\n";
  const std::string names = "ds_name\timage\ttext\torigin_dataset\torigin_split\torigin_idx\timage_path\n";
  const std::string index = "0\n" + std::to_string(first.size()) + "\n";
  const std::string shifted = "0\n" + std::to_string(names.size()) + "\n" + std::to_string(names.size() + first.size()) + "\n";
  for (const auto& data : {rows_of(folder, first + second), rows_of(folder, first + second, index),
                           rows_of(folder, names + first + second), rows_of(folder, names + first + second, shifted)}) {
    ASSERT_EQ(data->size(), 2);
  }
  const auto data = rows_of(folder, names + first + second, shifted);
  const Sample sample = data->get(0);
  EXPECT_EQ(sample.id, "7");
  EXPECT_EQ(*sample.pictures.at(0).bytes, "picture");
  EXPECT_EQ(sample.pictures[0].path, "a.jpg");
  EXPECT_EQ(sample.turns[0].text, "<image>\nq");
  EXPECT_EQ(sample.extra["origin_dataset"], "coco");
  const Sample pair = data->get(1);
  EXPECT_EQ(pair.id, "1");
  EXPECT_EQ(pair.pictures.at(0).path, folder / "sub/b.jpg");
  EXPECT_EQ(pair.turns[1].text, "good");
  EXPECT_EQ(pair.extra["rejected"], "bad");
}

TEST(LineidxTsv, ReadsKeyedRows) {
  const TemporaryFolder folder;
  EXPECT_EQ(rows_of(folder, "k1\t" + encode_base64("p") + "\t" + kPair + "\n")->get(0).id, "k1");
  const std::string rows = "k1\t" + encode_base64("p1") + "\nk2\t" + encode_base64("p2") + "\n";
  EXPECT_THAT(error_of([&] { rows_of(folder, rows); }), HasSubstr("annotations"));
  spill(folder / "texts.tsv", std::string("k2\t") + kPair + "\n");
  DatasetOptions options = test::from(folder / "t.tsv");
  options.annotations = folder / "texts.tsv";
  const auto data = open_lineidx_tsv(options);
  EXPECT_EQ(data->get(1).turns[0].text, "<image>\nq2");
  EXPECT_EQ(*data->get(1).pictures.at(0).bytes, "p2");
  EXPECT_THAT(error_of([&] { data->get(0); }), AllOf(HasSubstr("row 0"), HasSubstr("\"k1\"")));
}

TEST(LineidxTsv, ALyingIndexIsNamed) {
  const TemporaryFolder folder;
  const std::string row = std::string("k\t\t") + kPair + "\n";
  const auto second = std::to_string(row.size());
  const std::tuple<std::string, int64_t, const char*> cases[] = {
      {"0\n0\n", -1, "line 1: offset 0 isn't above"},
      {second + "\n0\n", -1, "line 1: offset 0 isn't above"},
      {"0\n999\n", -1, "999 lies past the end"},
      {"0\nx\n", -1, "line 1 is \"x\""},
      {"0\n\n5\n", -1, "line 1 is \"\""},
      {"0\n-3\n", -1, "\"-3\""},
      {"0\n99999999999999999999\n", -1, "expected a byte offset"},
      {"0\n5\n" + second + "\n", 1, "line 1: offset 5 isn't where a line"},
      {"0\n" + std::to_string(2 * row.size()) + "\n", 0, "isn't where the line after it starts"},
  };
  for (const auto& [index, read, what] : cases) {
    const auto act = [&, &index = index, &read = read] {
      const auto data = rows_of(folder, row + row + row, index);
      if (read >= 0) data->get(read);
    };
    EXPECT_THAT(error_of(act), AllOf(HasSubstr("t.lineidx"), HasSubstr(what))) << index;
  }
}

TEST(LineidxTsv, NamesRowAndColumn) {
  const TemporaryFolder folder;
  const std::pair<std::string, const char*> cases[] = {
      {std::string("k\tab!=\t") + kPair, "byte 2 of its base64"},
      {"k\t\t{", "column \"text\""},
      {"k\t\t" + std::string(10'000, '['), "64 levels"},
      {"k\t\t{\"question\": \"q\"}", "expected \"conversations\""},
      {"k\t\t7", "expected a record"},
  };
  for (const auto& [row, what] : cases)
    EXPECT_THAT(error_of([&, &row = row] { rows_of(folder, row + "\n")->get(0); }),
                AllOf(HasSubstr("t.tsv, row 0"), HasSubstr(what)))
        << row.substr(0, 99);
  EXPECT_THAT(error_of([&] { rows_of(folder, std::string("k\t\t") + kPair + "\nk\n")->get(1); }), HasSubstr("1 cells"));
  EXPECT_THAT(error_of([&] { rows_of(folder, "a\tb\tc\td\n"); }), HasSubstr("4 columns"));
  EXPECT_THAT(error_of([&] { rows_of(folder, std::string("n\t\t") + kPair + "\t\t\t\t../x.jpg\n")->get(0); }),
              HasSubstr("outside"));
}

TEST(LineidxTsv, WhatIsWrittenReadsBack) {
  const TemporaryFolder folder;
  Sample sample;
  sample.id = "s7";
  sample.pictures = {Picture("bytes", "p.png", "memory")};
  sample.turns = {{Turn::Role::kSystem, "s"},
                  {Turn::Role::kUser, "q\t1 <image>\n"},
                  {Turn::Role::kAssistant, "a"},
                  {Turn::Role::kUser, "q2"},
                  {Turn::Role::kAssistant, "b"}};
  sample.extra = {{"ds_name", "mine"}, {"score", 2}};
  const auto writer = write_lineidx_tsv(test::into(folder / "w.tsv"));
  writer->write(sample);
  sample.pictures.clear();
  sample.turns = {{Turn::Role::kUser, "q"}, {Turn::Role::kAssistant, "a"}};
  writer->write(sample);
  sample.id = "a\tb";
  EXPECT_THAT(error_of([&] { writer->write(sample); }), HasSubstr("tab"));
  writer->finish();
  EXPECT_TRUE(std::filesystem::exists(folder / "w.lineidx"));
  const auto data = open_lineidx_tsv(test::from(folder / "w.tsv"));
  ASSERT_EQ(data->size(), 2);
  const Sample back = data->get(0);
  EXPECT_EQ(back.id, "s7");
  EXPECT_EQ(*back.pictures.at(0).bytes, "bytes");
  EXPECT_EQ(back.turns[1].text, "q\t1 <image>\n");
  EXPECT_EQ(back.extra, (OrderedJson{{"score", 2}, {"ds_name", "mine"}}));
  EXPECT_TRUE(data->get(1).pictures.empty());
}

}  // namespace
}  // namespace ocelli::data
