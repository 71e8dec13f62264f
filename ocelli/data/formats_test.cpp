#include <gmock/gmock.h>

#include "ocelli/base/base64.h"
#include "ocelli/base/file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/data/compress.h"
#include "ocelli/data/decompress.h"
#include "ocelli/data/format_test_support.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/question_pairs.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;
using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::HasSubstr;

/// A grey pixel.
std::string pixel() {
  return decode_base64("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==", "png",
                       1000);
}

/// Two questions that stand alone, with everything a sample can have.
Sample rich() {
  Sample sample;
  sample.id = "7";
  sample.pictures = {Picture(pixel(), "dot.png", "memory")};
  sample.turns = {{Turn::Role::kUser, "<image>\nColour?"},
                  {Turn::Role::kAssistant, "grey"},
                  {Turn::Role::kUser, "Big?"},
                  {Turn::Role::kAssistant, "no"}};
  sample.independent = true;
  sample.question_types = {"color", "yes/no"};
  sample.references = {{"grey", "grey", "white"}, {"no"}};
  sample.extra["source"] = "web";
  return sample;
}

struct Target {
  const char* format;
  const char* name;
};

TEST(Formats, CarryASampleOrNameWhatIsLost) {
  const TemporaryFolder folder;
  const Sample sample = rich();
  for (const Target& target : {Target{"llava", "a.json"},
                               {"sharegpt", "b.jsonl"},
                               {"messages", "c.jsonl"},
                               {"webdataset", "d.tar"},
                               {"webdataset", "e.tar.gz"},
                               {"webdataset", "f.tar.zst"},
                               {"parquet", "g.parquet"},
                               {"vqa", "h.json"},
                               {"lineidx", "i.tsv"}}) {
    SCOPED_TRACE(target.name);
    const Format& format = find_format(target.format);
    const auto writer = format.write(test::into(folder / target.name));
    writer->write(sample);
    writer->finish();
    ASSERT_TRUE(fs::is_regular_file(folder / target.name));
    const auto data = format.open(test::from(folder / target.name));
    ASSERT_EQ(data->size(), 1);
    const Sample back = data->get(0);
    EXPECT_EQ(back.id, sample.id);
    ASSERT_EQ(back.pictures.size(), 1U);
    EXPECT_EQ(*back.pictures[0].encoded(), pixel());
    ASSERT_EQ(back.turns.size(), sample.turns.size());
    for (size_t i = 0; i < back.turns.size(); ++i) EXPECT_EQ(back.turns[i].text, sample.turns[i].text);
    EXPECT_TRUE(back.independent);
    EXPECT_EQ(back.question_types, sample.question_types);
    EXPECT_EQ(back.references, sample.references);
    EXPECT_EQ(back.extra.contains("source"), !writer->lost().contains("source"));
  }
}

TEST(Formats, NameWhatCaptionsCanNotCarry) {
  const TemporaryFolder folder;
  for (const Target& target : {Target{"coco", "c.json"}, {"folder", "f"}}) {
    SCOPED_TRACE(target.format);
    const auto writer = find_format(target.format).write(test::into(folder / target.name));
    Sample sample = rich();
    sample.turns.insert(sample.turns.begin(), {Turn::Role::kSystem, "Be."});
    writer->write(sample);
    for (const char* what : {"question", "question_types", "references", "system turn"})
      EXPECT_EQ(writer->lost().count(what), 1U) << what;
  }
}

TEST(Formats, ASampleThatCanNotBeWrittenLeavesNoHalf) {
  const TemporaryFolder folder;
  Sample chat = rich();
  chat.independent = false;
  for (const Target& target : {Target{"coco", "c.json"}, {"folder", "f"}, {"vqa", "v.json"}, {"vlmeval", "t.tsv"}}) {
    SCOPED_TRACE(target.format);
    const Format& format = find_format(target.format);
    const auto writer = format.write(test::into(folder / target.name));
    EXPECT_THAT(error_of([&] { writer->write(chat); }), HasSubstr("build on each other"));
    EXPECT_TRUE(writer->lost().empty());
    writer->write(rich());
    writer->finish();
    EXPECT_EQ(format.open(test::from(folder / target.name))->get(0).pictures.size(), 1U);
  }
  const std::string coco = read_file(folder / "c.json");
  EXPECT_EQ(coco.find("file_name"), coco.rfind("file_name")) << "the picture is listed once";
}

TEST(Formats, AFieldCalledAsOneOfTheRecordsIsKeptBesideIt) {
  const TemporaryFolder folder;
  Sample sample = rich();
  sample.extra["image"] = "elsewhere.jpg";
  sample.extra["id"] = 3;
  const auto writer = find_format("llava").write(test::into(folder / "a.json"));
  writer->write(sample);
  writer->finish();
  const Sample back = open_dataset(test::from(folder / "a.json"))->get(0);
  EXPECT_EQ(back.id, "7");
  EXPECT_EQ(*back.pictures.at(0).encoded(), pixel());
  EXPECT_EQ(back.extra["image_"], "elsewhere.jpg");
  EXPECT_EQ(back.extra["id_"], 3);
}

TEST(Formats, AreToldByNameAndContent) {
  const TemporaryFolder folder;
  spill(folder / "captions.json", R"({"info": {}, "images": [], "annotations": []})");
  spill(folder / "questions.json", R"({"questions": []})");
  spill(folder / "list.json", R"([{"id": "annotations"}])");
  spill(folder / "lines.json", "{\"id\": 1}\n{\"annotations\": [], \"images\": []}\n");
  spill(folder / "a.tsv", "x");
  spill(folder / "b.tsv", "x");
  spill(folder / "b.tsv.lineidx", "0\n");
  fs::create_directories(folder / "hub/data");
  spill(folder / "hub/README.md", "x");
  spill(folder / "hub/data/train-00000-of-00001.parquet", "x");
  fs::create_directories(folder / "shards");
  spill(folder / "shards/0.tar.gz", "x");
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"captions.json", "coco"}, {"questions.json", "vqa"},  {"list.json", "llava"}, {"lines.json", "llava"},
      {"absent.json", "llava"},  {"refs(unc).p", "refcoco"}, {"a.tsv", "vlmeval"},   {"b.tsv", "lineidx"},
      {"hub", "parquet"},        {"shards", "webdataset"},   {"x.tgz", "webdataset"}};
  for (const auto& [name, format] : expected) EXPECT_EQ(format_of(folder / name), format) << name;
}

TEST(Formats, ARecordThatIsHostileIsAnErrorOfItsOwn) {
  const TemporaryFolder folder;
  fs::create_symlink("loop.jpg", folder / "loop.jpg");
  const std::string turns = R"("conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})";
  spill(folder / "d.jsonl", R"({"image": "loop.jpg", )" + turns + "\n" + R"({"image": ")" + std::string(400, 'x') + "\", " +
                                turns + "\n" +
                                R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})"
                                "\n");
  WriterOptions target = test::into(folder / "out.jsonl");
  target.images = folder.path();  // so that files below it would be referred to
  const auto data = open_dataset(test::from(folder / "d.jsonl"));
  const auto writer = find_format("llava").write(target);
  for (int64_t i = 0; i < 2; ++i) EXPECT_THAT(error_of([&] { writer->write(data->get(i)); }), HasSubstr("can't open"));
  Sample of_a_folder = data->get(0);
  of_a_folder.pictures = {Picture(folder.path() / "out")};
  fs::create_directory(folder / "out");
  EXPECT_THAT(error_of([&] { writer->write(of_a_folder); }), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { data->get(2); }), HasSubstr("record 2.messages[0].content: a part of type \"image_url\" without"));
}

TEST(PictureRoot, LooksNoFurtherThanNames) {
  EXPECT_EQ(below("root", "a/../b.jpg", "here"), "root/b.jpg") << "a link \"a\" must not be followed";
  EXPECT_EQ(path_below("/a/b", "/a/b/c/../d"), "d");
  EXPECT_EQ(path_below("/a/b", "/a/bc"), std::nullopt);
}

TEST(QuestionPairs, CountALongListOfReferencesOnce) {
  std::vector<std::string> references(300'000, "");
  for (size_t i = 0; i < references.size(); ++i) references[i] = std::to_string(i / 2);
  references.emplace_back("7");
  EXPECT_EQ(most_frequent(references), "7");
}

TEST(Compress, IsUndoneByDecompress) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 400'000; ++i) text += std::to_string(i * i % 7919);
  for (const std::string& contents : {std::string(), std::string("x"), text}) {
    for (const auto& [name, how] : {std::pair{"a.gz", Compression::kGzip}, std::pair{"a.zst", Compression::kZstd}}) {
      spill(folder / name, contents);
      compress_file(folder / name, how);
      const auto back = decompress(folder / name);
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(back->bytes().data()), back->bytes().size()), contents);
    }
  }
}

}  // namespace
}  // namespace ocelli::data
