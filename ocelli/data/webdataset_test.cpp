#include "ocelli/data/webdataset.h"

#include <gmock/gmock.h>
#include <zlib.h>
#include <zstd.h>

#include <vector>

#include "ocelli/base/test_support.h"
#include "ocelli/data/tar_file.h"

namespace ocelli::data {
namespace {

using test::error_of;
using test::spill;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kJpeg = "\xff\xd8\xff\xe0 a", kPng = "\x89PNG\r\n\x1a\n b";

void write_tar(const std::filesystem::path& path, const std::vector<std::pair<std::string, std::string>>& members) {
  AtomicFile file(path);
  TarWriter writer(file);
  for (const auto& [name, contents] : members) writer.add(name, contents);
  writer.finish();
  file.commit();
}

std::shared_ptr<const Dataset> open(const std::filesystem::path& path) {
  DatasetOptions options;
  options.name = "shards";
  options.path = path;
  return open_webdataset(options);
}

std::unique_ptr<SampleWriter> create(const std::filesystem::path& path, int64_t shard_samples) {
  WriterOptions options;
  options.path = path;
  options.shard_samples = shard_samples;
  return write_webdataset(options);
}

std::vector<std::string> picture_names(const Sample& sample) {
  std::vector<std::string> names;
  for (const Picture& picture : sample.pictures) names.push_back(picture.path.string());
  return names;
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

TEST(Webdataset, GroupsByTheFirstDotOfTheFileName) {
  const TemporaryFolder folder;
  write_tar(folder / "a.tar", {{"a/b.c/x.seg.png", kPng},
                               {"a/b.c/x.jpg", kJpeg},
                               {"a/b.c/x.txt", "a cat\n"},
                               {"a/b.c/.hidden.jpg", "no"},
                               {"README", "no"},
                               {"a/b.c/y.JPG", kJpeg},
                               {"a/b.c/y.json", R"({"key": "7", "caption": "a dog", "width": 3})"}});
  const auto data = open(folder / "a.tar");
  ASSERT_EQ(data->size(), 2);
  const Sample cat = data->get(0), dog = data->get(1);
  EXPECT_EQ(cat.id, "a/b.c/x");
  EXPECT_THAT(picture_names(cat), ElementsAre("a/b.c/x.jpg", "a/b.c/x.seg.png"));
  EXPECT_EQ(*cat.pictures[0].bytes, kJpeg);
  EXPECT_THAT(cat.turns[0].text, HasSubstr("<image>\n<image>\n"));
  EXPECT_EQ(cat.turns[1].text, "a cat");
  EXPECT_EQ(dog.turns[1].text, "a dog");
  EXPECT_EQ(dog.extra["width"], 3);
}

TEST(Webdataset, GivesTheRecordItsPictures) {
  const TemporaryFolder folder;
  const std::string turns =
      R"("conversations": [{"from": "human", "value": "<image> <image>?"}, {"from": "gpt", "value": "yes"}])";
  write_tar(folder / "a.tar", {{"0.10.jpg", kJpeg},
                               {"0.2.png", kPng},
                               {"0.json", "{" + turns + "}"},
                               {"1.a.jpg", kJpeg},
                               {"1.b.png", kPng},
                               {"1.json", R"({"image": ["b.png", "1.a.jpg"], )" + turns + "}"},
                               {"2.0.jpg", kJpeg},
                               {"2.1.png", kPng},
                               {"2.json", R"({"id": "coco", "image": ["coco/1.jpg", "coco/2.jpg"], )" + turns + "}"},
                               {"3.0.jpg", kJpeg},
                               {"3.json", R"({"image": ["coco/1.jpg", "coco/2.jpg"], )" + turns + "}"}});
  const auto data = open(folder / "a.tar");
  EXPECT_THAT(picture_names(data->get(0)), ElementsAre("0.2.png", "0.10.jpg"));
  EXPECT_THAT(picture_names(data->get(1)), ElementsAre("1.b.png", "1.a.jpg"));
  EXPECT_THAT(picture_names(data->get(2)), ElementsAre("2.0.jpg", "2.1.png"));
  EXPECT_EQ(data->get(2).id, "coco");
  EXPECT_THAT(error_of([&] { data->get(3); }), AllOf(HasSubstr("a.tar, sample 3"), HasSubstr("coco/2.jpg")));
}

TEST(Webdataset, NamesBrokenSamples) {
  const TemporaryFolder folder;
  write_tar(folder / "a.tar", {{"0.jpg", kJpeg},
                               {"1.jpg", kJpeg},
                               {"1.json", "{]"},
                               {"2.jpg", kJpeg},
                               {"2.JPG", kJpeg},
                               {"3.jpg", kJpeg},
                               {"3.txt", "\xff\xff"},
                               {"4.json", "[1]"},
                               {"5.jpg", kJpeg},
                               {"5.txt", " \n"},
                               {"\xff.txt", "x"}});
  const auto data = open(folder / "a.tar");
  EXPECT_THAT(error_of([&] { data->get(0); }), HasSubstr("sample 0: it has no text"));
  EXPECT_THAT(error_of([&] { data->get(1); }), HasSubstr("1.json"));
  EXPECT_THAT(error_of([&] { data->get(2); }), HasSubstr("\"2.JPG\" comes twice"));
  EXPECT_THAT(error_of([&] { data->get(3); }), HasSubstr("3.txt is not UTF-8"));
  EXPECT_THAT(error_of([&] { data->get(4); }), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error_of([&] { data->get(5); }), HasSubstr("the answer is empty"));
  EXPECT_THAT(error_of([&] { data->get(6); }), HasSubstr("is not UTF-8"));
}

TEST(Webdataset, ReadsPatternsAndFolders) {
  const TemporaryFolder folder;
  for (int i = 8; i < 12; ++i) write_tar(folder / fmt::format("s-{:03}.tar", i), {{fmt::format("{}.txt", i), "t"}});
  const auto all = open(folder.path()), some = open(folder / "s-{009..010}.tar");
  ASSERT_EQ(all->size(), 4);
  ASSERT_EQ(some->size(), 2);
  EXPECT_EQ(all->get(3).id, "11");
  EXPECT_EQ(some->get(0).id, "9");
  EXPECT_THAT(error_of([&] { open(folder / "s-{011..012}.tar"); }), HasSubstr("s-012.tar"));
  EXPECT_THAT(error_of([&] { open(folder / "s-{a..b}.tar"); }), HasSubstr("\"a\" is no number"));
  EXPECT_THAT(error_of([&] { open(folder / "s-{3..1}.tar"); }), HasSubstr("ascending"));
}

TEST(Webdataset, UnpacksCompressedShards) {
  const TemporaryFolder folder;
  write_tar(folder / "a.tar", {{"0.txt", "zero"}, {"1.txt", std::string(3 << 20, 'x')}});
  const std::string plain = read_file(folder / "a.tar");
  const std::string gz = gzip(plain), zst = zstd(plain);
  spill(folder / "a.tar.gz", gz);
  spill(folder / "a.tar.zst", zst);
  spill(folder / "two.tgz", gzip(plain.substr(0, 700)) + gzip(plain.substr(700)));
  for (const char* name : {"a.tar.gz", "a.tar.zst", "two.tgz"}) {
    const auto data = open(folder / name);
    ASSERT_EQ(data->size(), 2) << name;
    EXPECT_EQ(data->get(1).turns[1].text.size(), size_t{3} << 20);
  }
  spill(folder / "cut.tar.gz", gz.substr(0, gz.size() / 2));
  spill(folder / "cut.tar.zst", zst.substr(0, zst.size() - 9));
  EXPECT_THAT(error_of([&] { open(folder / "cut.tar.gz"); }), HasSubstr("cut.tar.gz: the gzip data ends early"));
  EXPECT_THAT(error_of([&] { open(folder / "cut.tar.zst"); }), HasSubstr("cut.tar.zst: the zstd data ends early"));
  spill(folder / "text.tar.gz", "no");
  EXPECT_THAT(error_of([&] { open(folder / "text.tar.gz"); }), HasSubstr("starts like neither"));
}

TEST(Webdataset, RefusesABomb) {
  const TemporaryFolder folder;
  spill(folder / "bomb.tar.gz", gzip(std::string(80 << 20, '\0')));
  EXPECT_THAT(error_of([&] { open(folder / "bomb.tar.gz"); }), HasSubstr("unpacks to more than 67108864 bytes"));
}

TEST(Webdataset, WritesShardsItReads) {
  const TemporaryFolder folder;
  const auto writer = create(folder / "out.tar", 2);
  for (int i = 0; i < 3; ++i) {
    Sample sample;
    sample.id = fmt::format("s/{}.x", i);
    for (int p = 0; p < i; ++p) sample.pictures.emplace_back(p == 0 ? kJpeg : kPng, "", "p");
    sample.turns = {{Turn::Role::kUser, "q"}, {Turn::Role::kAssistant, "a"}};
    sample.question_types = {"yes/no"};
    sample.extra["source"] = i;
    finish_sample(sample, "test");
    writer->write(sample);
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "out-000000.tar"));
  writer->finish();
  EXPECT_EQ(folder.size(), 2U);
  const auto data = open(folder / "out-{000000..000001}.tar");
  ASSERT_EQ(data->size(), 3);
  const Sample last = data->get(2);
  EXPECT_EQ(last.id, "s/2.x");
  EXPECT_THAT(picture_names(last), ElementsAre("000000002.0.jpg", "000000002.1.png"));
  EXPECT_EQ(*last.pictures[1].bytes, kPng);
  EXPECT_EQ(last.question_types, std::vector<std::string>{"yes/no"});
  EXPECT_EQ(last.extra["source"], 2);
  EXPECT_THAT(error_of([&] { create(folder / "out.tar", 2); }), HasSubstr("there already"));
}

TEST(Webdataset, TakesTheIdOfACaptionsRecord) {
  const TemporaryFolder folder;
  write_tar(folder / "a.tar", {{"000.jpg", kJpeg}, {"000.json", R"({"id": 12, "caption": "A fox.", "url": "u"})"}});
  const Sample sample = open(folder / "a.tar")->get(0);
  EXPECT_EQ(sample.id, "12");
  EXPECT_FALSE(sample.extra.contains("id"));
  EXPECT_EQ(sample.extra["url"], "u");
}

TEST(Webdataset, CompressesShardsOfThatName) {
  const TemporaryFolder folder;
  Sample sample;
  sample.turns = {{Turn::Role::kUser, "q"}, {Turn::Role::kAssistant, "a"}};
  const auto writer = create(folder / "out.tar.gz", 1);
  writer->write(sample);
  writer->write(sample);
  writer->finish();
  EXPECT_EQ(folder.size(), 2U);
  EXPECT_TRUE(read_file(folder / "out-000001.tar.gz").starts_with("\x1f\x8b"));
  EXPECT_EQ(open(folder / "out-{000000..000001}.tar.gz")->size(), 2);
}

TEST(Webdataset, LeavesNothingOfAWriteNotFinished) {
  const TemporaryFolder folder;
  {
    const auto writer = create(folder / "out.tar", 1);
    Sample sample;
    sample.turns = {{Turn::Role::kUser, "q"}, {Turn::Role::kAssistant, "a"}};
    writer->write(sample);
    writer->write(sample);
    sample.pictures.emplace_back("GIF89a", "x.gif", "x.gif");
    EXPECT_THAT(error_of([&] { writer->write(sample); }), HasSubstr("neither JPEG, PNG nor WebP"));
  }
  EXPECT_EQ(folder.size(), 0U);
}

}  // namespace
}  // namespace ocelli::data
