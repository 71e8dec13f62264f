#include "ocelli/data/parquet.h"

#include <gmock/gmock.h>

#include <thread>

#include "ocelli/base/file.h"
#include "ocelli/base/test_support.h"

namespace ocelli::data {
namespace {

using test::error_of;
using test::spill;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;

std::shared_ptr<const Dataset> open(const std::filesystem::path& path, const std::string& split = "") {
  DatasetOptions options;
  options.name = "rows";
  options.path = path;
  options.split = split;
  return open_parquet(options);
}

Sample sample_of(int64_t number) {
  Sample sample;
  sample.id = std::to_string(number);
  for (int64_t p = 0; p < number % 3; ++p) sample.pictures.emplace_back(fmt::format("picture {} {}", number, p), "p.jpg", "p");
  sample.turns = {{Turn::Role::kSystem, "be brief"}, {Turn::Role::kUser, "q"}, {Turn::Role::kAssistant, "ä" + sample.id}};
  sample.independent = number % 2 == 0;
  sample.question_types = {"number"};
  sample.references = {{"a", "b"}};
  if (!sample.pictures.empty()) sample.regions.push_back({0, "cat", {1, 2, 3.5, 4}, nullptr});
  sample.extra["source"] = number;
  finish_sample(sample, "test");
  return sample;
}

void write(const std::filesystem::path& path, int64_t samples, int64_t shard_samples = 0) {
  WriterOptions options;
  options.path = path;
  options.shard_samples = shard_samples;
  const auto writer = write_parquet(options);
  for (int64_t i = 0; i < samples; ++i) writer->write(sample_of(i));
  EXPECT_FALSE(std::filesystem::exists(path));
  writer->finish();
}

void expect_equal(const Sample& read, int64_t number) {
  const Sample wanted = sample_of(number);
  EXPECT_EQ(read.id, wanted.id);
  ASSERT_EQ(read.pictures.size(), wanted.pictures.size());
  for (size_t p = 0; p < wanted.pictures.size(); ++p) {
    EXPECT_EQ(*read.pictures[p].bytes, *wanted.pictures[p].bytes);
    EXPECT_EQ(read.pictures[p].path, "p.jpg");
  }
  ASSERT_EQ(read.turns.size(), wanted.turns.size());
  for (size_t t = 0; t < wanted.turns.size(); ++t) EXPECT_EQ(read.turns[t].text, wanted.turns[t].text);
  EXPECT_EQ(read.independent, wanted.independent);
  EXPECT_EQ(read.question_types, wanted.question_types);
  EXPECT_EQ(read.references, wanted.references);
  ASSERT_EQ(read.regions.size(), wanted.regions.size());
  for (size_t r = 0; r < wanted.regions.size(); ++r) EXPECT_EQ(read.regions[r].box, wanted.regions[r].box);
  EXPECT_EQ(read.extra, wanted.extra);
}

TEST(Parquet, ReadsBackWhatItWrites) {
  const TemporaryFolder folder;
  write(folder / "a.parquet", 250);
  const auto data = open(folder / "a.parquet");
  ASSERT_EQ(data->size(), 250);
  for (const int64_t i : {0, 1, 2, 99, 100, 101, 249, 5}) expect_equal(data->get(i), i);
}

TEST(Parquet, ReadsShardsOfASplit) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "data");
  write(folder / "data" / "train.parquet", 5, 2);
  write(folder / "data" / "test.parquet", 3);
  EXPECT_EQ(open(folder.path())->size(), 8);
  const auto train = open(folder.path(), "train");
  ASSERT_EQ(train->size(), 5);
  expect_equal(train->get(4), 4);
  EXPECT_EQ(open(folder.path(), "test")->size(), 3);
  EXPECT_THAT(error_of([&] { open(folder.path(), "val"); }), HasSubstr("no file of split \"val\""));
}

TEST(Parquet, ServesManyThreads) {
  const TemporaryFolder folder;
  write(folder / "a.parquet", 300);
  const auto data = open(folder / "a.parquet");
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < 300; ++i) EXPECT_EQ(data->get((i * 77 + t) % 300).id, std::to_string((i * 77 + t) % 300));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Parquet, NamesDamage) {
  const TemporaryFolder folder;
  write(folder / "a.parquet", 250);
  const std::string good = read_file(folder / "a.parquet");
  spill(folder / "cut.parquet", good.substr(0, good.size() / 2));
  EXPECT_THAT(error_of([&] { open(folder / "cut.parquet"); }), HasSubstr("cut.parquet"));
  spill(folder / "empty.parquet", "");
  EXPECT_THAT(error_of([&] { open(folder / "empty.parquet"); }), HasSubstr("empty.parquet"));
  EXPECT_THAT(error_of([&] { open(folder / "none.parquet"); }), HasSubstr("none.parquet"));
  std::string lying = good;
  lying.replace(lying.size() - 8, 4, "\xff\xff\xff\x7f");
  spill(folder / "lying.parquet", lying);
  EXPECT_THAT(error_of([&] { open(folder / "lying.parquet"); }), HasSubstr("lying.parquet"));

  // A page's checksum finds a changed byte of a picture; the other row groups still read.
  std::string bad = good;
  const size_t at = bad.find("picture 101 1");
  ASSERT_NE(at, std::string::npos);
  bad[at] ^= 1;
  spill(folder / "bad.parquet", bad);
  const auto data = open(folder / "bad.parquet");
  expect_equal(data->get(99), 99);
  expect_equal(data->get(200), 200);
  for (int again = 0; again < 2; ++again) {
    EXPECT_THAT(error_of([&] { data->get(150); }), AllOf(HasSubstr("bad.parquet, row group 1"), HasSubstr("CRC")));
  }
}

TEST(Parquet, SurvivesChangedBytes) {
  const TemporaryFolder folder;
  write(folder / "a.parquet", 12);
  const std::string good = read_file(folder / "a.parquet");
  // Where a change goes unnoticed the sample may differ; it must never crash or take memory without bound.
  for (size_t at = 0; at < good.size(); at += 1 + good.size() / 300) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0xa5);
    spill(folder / "b.parquet", bad);
    try {
      const auto data = open(folder / "b.parquet");
      for (int64_t i = 0; i < std::min<int64_t>(data->size(), 12); ++i) data->get(i);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("b.parquet")) << at;
    }
  }
}

TEST(Parquet, NamesAFileThatChanged) {
  const TemporaryFolder folder;
  write(folder / "a.parquet", 5);
  const auto data = open(folder / "a.parquet");
  write_file_atomic(folder / "a.parquet", "PAR1");
  EXPECT_THAT(error_of([&] { data->get(0); }), HasSubstr("when it was opened, now 4"));
}

}  // namespace
}  // namespace ocelli::data
