#include "ocelli/data/picture_folder.h"

#include <gmock/gmock.h>

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

namespace fs = std::filesystem;

const std::string kPng = "\x89PNG\r\n\x1A\n and so on";

TEST(PictureFolder, ReadsCaptionsBesideTheirPictures) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "sub");
  spill(folder / "b.JPG", kPng);
  spill(folder / "b.txt", "A bee.\n");
  spill(folder / "sub/a.png", kPng);
  spill(folder / "sub/a.txt", "An ant.");
  spill(folder / "sub/none.png", kPng);
  spill(folder / "readme.md", "no picture");
  const auto data = open_picture_folder(test::from(folder.path()));
  ASSERT_EQ(data->size(), 3);
  EXPECT_EQ(data->get(0).id, "b.JPG");
  EXPECT_EQ(data->get(0).turns[0].text, "<image>\nDescribe the picture.");
  EXPECT_EQ(data->get(0).turns[1].text, "A bee.");
  EXPECT_EQ(*data->get(1).pictures[0].encoded(), kPng);
  EXPECT_THAT(error_of([&] { data->get(2); }), AllOf(HasSubstr("none.png"), HasSubstr("none.txt is missing")));
}

TEST(PictureFolder, ReadsMetadata) {
  const TemporaryFolder folder;
  spill(folder / "a.png", kPng);
  spill(folder / "captions.csv", "image,caption,source\na.png,\"one, two\",web\n../x.png,out,\n");
  const auto table = open_picture_folder(test::from(folder.path()));
  EXPECT_EQ(table->get(0).turns[1].text, "one, two");
  EXPECT_EQ(table->get(0).extra["source"], "web");
  EXPECT_THAT(error_of([&] { table->get(1); }), AllOf(HasSubstr("captions.csv, row 2"), HasSubstr("outside")));
  spill(folder / "metadata.jsonl", R"({"file_name":"a.png","text":"three","license":1})"
                                   "\n"
                                   R"({"file_name":"/etc/x.png","text":"four"})"
                                   "\n"
                                   R"({"file_name":"a.png","text":" "})"
                                   "\n"
                                   R"({"file_name":"a.png"})"
                                   "\n");
  const auto records = open_picture_folder(test::from(folder.path()));
  EXPECT_EQ(records->get(0).turns[1].text, "three");
  EXPECT_EQ(records->get(0).extra["license"], 1);
  EXPECT_THAT(error_of([&] { records->get(1); }), AllOf(HasSubstr("record 1"), HasSubstr("outside")));
  EXPECT_THAT(error_of([&] { records->get(2); }), AllOf(HasSubstr("record 2"), HasSubstr("empty")));
  EXPECT_THAT(error_of([&] { records->get(3); }), AllOf(HasSubstr("record 3"), HasSubstr("text")));
}

TEST(PictureFolder, RefusesLinksThatLoopOrLeadOutside) {
  const TemporaryFolder folder, outside;
  fs::create_directories(folder / "sub");
  spill(folder / "sub/a.png", kPng);
  spill(outside / "x.png", kPng);
  spill(outside / "x.txt", "x");
  const auto open = [&] { return open_picture_folder(test::from(folder.path())); };
  const std::tuple<fs::path, const char*, const char*> cases[] = {
      {"..", "sub/up", "loop"},
      {"sub", "again", "listed there already"},
      {outside.path(), "out", "outside"},
      {outside / "x.png", "x.png", "outside"},
      {"self", "self", "leads back to itself"},
  };
  for (const auto& [target, name, what] : cases) {
    fs::create_symlink(target, folder / name);
    EXPECT_THAT(error_of(open), AllOf(HasSubstr(name), HasSubstr(what)));
    fs::remove(folder / name);
  }
  fs::create_symlink("sub/a.png", folder / "b.png");  // inside: fine
  spill(folder / "b.txt", "b");
  EXPECT_EQ(open()->size(), 2);
  fs::create_symlink(outside / "x.txt", folder / "sub/a.txt");
  EXPECT_THAT(error_of([&] { open()->get(1); }), AllOf(HasSubstr("a.txt"), HasSubstr("outside")));
  DatasetOptions everywhere = test::from(folder.path());
  everywhere.images = "/";
  EXPECT_EQ(open_picture_folder(everywhere)->get(1).turns[1].text, "x");
}

TEST(PictureFolder, WhatIsWrittenReadsBack) {
  const TemporaryFolder folder;
  Sample sample;
  sample.id = "s1";
  sample.pictures = {Picture(kPng, "", "memory")};
  sample.turns = {{Turn::Role::kUser, "<image>\nWhat?"}, {Turn::Role::kAssistant, "A fox."}};
  sample.extra["license"] = "cc";
  const auto writer = write_picture_folder(test::into(folder / "out"));
  writer->write(sample);
  writer->finish();
  EXPECT_EQ(writer->lost().at("question"), 1);
  const auto data = open_picture_folder(test::from(folder / "out"));
  ASSERT_EQ(data->size(), 1);
  const Sample back = data->get(0);
  EXPECT_EQ(back.id, "s1.png");
  EXPECT_EQ(back.turns[1].text, "A fox.");
  EXPECT_EQ(*back.pictures[0].encoded(), kPng);
  EXPECT_EQ(back.extra["license"], "cc");
  sample.pictures.push_back(sample.pictures[0]);
  EXPECT_THAT(error_of([&] { writer->write(sample); }), HasSubstr("2 pictures"));
  WriterOptions elsewhere = test::into(folder / "out");
  elsewhere.images = folder / "pictures";
  EXPECT_THAT(error_of([&] { write_picture_folder(elsewhere); }), HasSubstr("must lie below"));
}

}  // namespace
}  // namespace ocelli::data
