#include "ocelli/data/demo_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/base/test_support.h"
#include "ocelli/data/idx_file.h"
#include "ocelli/image/image.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::string idx_bytes(uint32_t magic, const std::vector<uint32_t>& shape, const std::string& values) {
  std::string bytes;
  const auto add = [&](uint32_t word) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(word >> shift & 0xff);
  };
  add(magic);
  for (uint32_t size : shape) add(size);
  return bytes + values;
}

void write_gz(const fs::path& path, const std::string& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
}

void cut(const fs::path& path, uintmax_t bytes) {
  fs::resize_file(path, fs::file_size(path) - bytes);
}

/// A folder with 6 + 2 easy-VQA pictures of two questions each, and 10 + 3 garments of 3 x 2 pixels.
class DemoDataTest : public testing::Test {
 protected:
  void SetUp() override {
    write_easy_vqa("train", 6);
    write_easy_vqa("test", 2);
    fs::create_directories(folder_ / "fashion");
    write_garments("train", 10);
    write_garments("t10k", 3);
  }
  void write_easy_vqa(const std::string& split, int pictures) {
    fs::create_directories(folder_ / "easy_vqa/data" / split / "images");
    Json rows = Json::array();
    for (int i = 0; i < pictures; ++i) {
      rows.push_back({"what is the blue shape?", "rectangle", i});
      rows.push_back({"what color is the shape?", i % 2 == 0 ? "blue" : "teal", i});
      rows.push_back({"is there a circle?", i % 2 == 0 ? "yes" : "no", i});
      write_file_atomic(folder_ / "easy_vqa/data" / split / "images" / (std::to_string(i) + ".png"), "png");
    }
    write_rows(split, rows);
  }
  void write_rows(const std::string& split, const Json& rows) {
    write_file_atomic(folder_ / "easy_vqa/data" / split / "questions.json", rows.dump());
  }

  fs::path garment_pictures(const std::string& split) const { return folder_ / "fashion" / (split + "-images-idx3-ubyte.gz"); }
  fs::path garment_labels(const std::string& split) const { return folder_ / "fashion" / (split + "-labels-idx1-ubyte.gz"); }

  void write_garments(const std::string& split, int count) {
    std::string pixels;
    std::string labels;
    for (int i = 0; i < count * 6; ++i) pixels += static_cast<char>(i * 4);
    for (int i = 0; i < count; ++i) labels += static_cast<char>(i % 10);
    write_gz(garment_pictures(split), idx_bytes(0x803, {static_cast<uint32_t>(count), 2, 3}, pixels));
    write_gz(garment_labels(split), idx_bytes(0x801, {static_cast<uint32_t>(count)}, labels));
  }

  DemoDataOptions options() const {
    return {.easy_vqa_folder = folder_ / "easy_vqa",
            .fashion_folder = folder_ / "fashion",
            .repo_root = {},
            .out = folder_ / "out",
            .easy_vqa_validation = 2,
            .fashion_validation = 4};
  }

  /// Preparing fails with every one of `parts` in the message and leaves nothing behind.
  void expect_fault(const DemoDataOptions& options, const std::vector<std::string>& parts) {
    try {
      prepare_demo_data(options);
      ADD_FAILURE() << "no error; expected one naming " << parts.front();
    } catch (const Error& error) {
      for (const std::string& part : parts) EXPECT_THAT(error.what(), HasSubstr(part));
    }
    EXPECT_FALSE(fs::exists(folder_ / "out"));
    EXPECT_FALSE(fs::exists(folder_ / "out.tmp"));
  }

  test::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

std::set<std::string> pictures_of(const DemoSplit& split) {
  std::set<std::string> pictures;
  for (const Json& record : read_json(split.file)) pictures.insert(record["image"].get<std::string>());
  return pictures;
}

TEST_F(DemoDataTest, EasyVqaRecordsHoldIndependentQuestionsWithTypes) {
  const DemoData data = prepare_demo_data(options());
  EXPECT_EQ(data.easy_vqa.images, folder_ / "easy_vqa/data");
  const Json records = read_json(data.easy_vqa.train.file);
  ASSERT_EQ(records.size(), 4U);
  const Json& second = records[1];
  EXPECT_EQ(second["image"], "train/images/1.png");
  EXPECT_EQ(second["independent"], true);
  EXPECT_EQ(second["question_types"], Json({"shape", "color", "yes/no"}));
  ASSERT_EQ(second["conversations"].size(), 6U);
  EXPECT_EQ(second["conversations"][0], Json({{"from", "human"}, {"value", "<image>\nwhat is the blue shape?"}}));
  EXPECT_EQ(second["conversations"][1], Json({{"from", "gpt"}, {"value", "rectangle"}}));
  EXPECT_EQ(second["conversations"][2], Json({{"from", "human"}, {"value", "what color is the shape?"}}));
  EXPECT_EQ(second["conversations"][5], Json({{"from", "gpt"}, {"value", "no"}}));
}

TEST_F(DemoDataTest, ValidationIsTheEndOfTrainAndSplitsAreDisjoint) {
  const DemoData data = prepare_demo_data(options());
  EXPECT_EQ(pictures_of(data.easy_vqa.validation), (std::set<std::string>{"train/images/4.png", "train/images/5.png"}));
  EXPECT_EQ(pictures_of(data.easy_vqa.test), (std::set<std::string>{"test/images/0.png", "test/images/1.png"}));
  EXPECT_EQ(pictures_of(data.fashion_mnist.train).count("images/train/00005.png"), 1U);
  EXPECT_EQ(pictures_of(data.fashion_mnist.validation).count("images/train/00006.png"), 1U);
  EXPECT_EQ(pictures_of(data.fashion_mnist.train).size(), 6U);
  EXPECT_EQ(pictures_of(data.fashion_mnist.validation).size(), 4U);
  EXPECT_EQ(pictures_of(data.fashion_mnist.test).size(), 3U);
  EXPECT_EQ(data.easy_vqa.train.pictures, 4);
  EXPECT_EQ(data.easy_vqa.train.questions, 12);
  EXPECT_EQ(data.fashion_mnist.validation.questions, 4);
}

TEST_F(DemoDataTest, GarmentsAreGreyAsRgbWithTheirClassAsAnswer) {
  const DemoData data = prepare_demo_data(options());
  const Json record = read_json(data.fashion_mnist.validation.file)[3];
  EXPECT_EQ(record["conversations"][1]["value"], "ankle boot");
  EXPECT_EQ(record["question_types"], Json({"clothing"}));
  EXPECT_THAT(record["conversations"][0]["value"].get<std::string>(), testing::StartsWith("<image>\n"));
  const image::Image picture = image::load(data.fashion_mnist.images / record["image"].get<std::string>());
  ASSERT_EQ(picture.width, 3);
  ASSERT_EQ(picture.height, 2);
  for (int p = 0; p < 6; ++p) {
    for (int channel = 0; channel < 3; ++channel) EXPECT_EQ(picture.pixels[3 * p + channel], (9 * 6 + p) * 4 % 256);
  }
}

TEST_F(DemoDataTest, ATrainSubsetIsTakenFromTheFront) {
  DemoDataOptions subset = options();
  subset.fashion_train = 5;
  subset.fashion_validation = 2;
  const DemoData data = prepare_demo_data(subset);
  EXPECT_EQ(pictures_of(data.fashion_mnist.validation),
            (std::set<std::string>{"images/train/00003.png", "images/train/00004.png"}));
  EXPECT_FALSE(fs::exists(data.fashion_mnist.images / "images/train/00005.png"));
}

TEST_F(DemoDataTest, PhrasingsFollowTheSeed) {
  const auto questions = [&](uint64_t seed, const char* out) {
    DemoDataOptions seeded = options();
    seeded.seed = seed;
    seeded.out = folder_ / out;
    std::vector<std::string> result;
    for (const Json& record : read_json(prepare_demo_data(seeded).fashion_mnist.train.file)) {
      result.push_back(record["conversations"][0]["value"]);
    }
    return result;
  };
  EXPECT_EQ(questions(1, "a"), questions(1, "b"));
  EXPECT_NE(questions(1, "a"), questions(2, "c"));
}

TEST_F(DemoDataTest, TheSameInputsAreReusedAndOthersRemade) {
  EXPECT_FALSE(prepare_demo_data(options()).reused);
  const auto made = fs::last_write_time(folder_ / "out/stamp.json");
  DemoDataOptions same = options();
  same.out = folder_ / "out" / "";  // a trailing slash names the same folder
  const DemoData again = prepare_demo_data(same);
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(fs::last_write_time(folder_ / "out/stamp.json"), made);
  EXPECT_EQ(again.easy_vqa.train.questions, 12);
  EXPECT_EQ(again.fashion_mnist.test.pictures, 3);
  EXPECT_TRUE(fs::exists(again.fashion_mnist.test.file));

  DemoDataOptions other = options();
  other.easy_vqa_validation = 3;
  EXPECT_FALSE(prepare_demo_data(other).reused);
  write_garments("t10k", 4);
  EXPECT_EQ(prepare_demo_data(other).fashion_mnist.test.pictures, 4);
}

TEST_F(DemoDataTest, LeftoversOfAKilledRunAreReplaced) {
  fs::create_directories(folder_ / "out.tmp/fashion_mnist/images/train");
  write_file_atomic(folder_ / "out.tmp/fashion_mnist/images/train/00000.png", "half");
  EXPECT_FALSE(prepare_demo_data(options()).reused);
  EXPECT_FALSE(fs::exists(folder_ / "out.tmp"));
}

TEST_F(DemoDataTest, AFolderOfSomethingElseIsLeftAlone) {
  fs::create_directories(folder_ / "out");
  write_file_atomic(folder_ / "out/thesis.txt", "years of work");
  EXPECT_THAT([&] { prepare_demo_data(options()); }, ThrowsMessage<Error>(HasSubstr("holds something other")));
  EXPECT_EQ(read_file(folder_ / "out/thesis.txt"), "years of work");
}

TEST_F(DemoDataTest, FaultsOfEasyVqaAreNamed) {
  const fs::path picture = folder_ / "easy_vqa/data/train/images/3.png";
  fs::remove(picture);
  expect_fault(options(), {picture.string(), "missing"});
  write_easy_vqa("train", 6);

  write_rows("train", Json::parse(R"([["what?", "yes"]])"));
  expect_fault(options(), {"train/questions.json", "row 0", "expected [question, answer, picture's number]"});
  write_rows("train", Json::parse(R"([["what?", "yes", -1]])"));
  expect_fault(options(), {"row 0", "-1"});
  write_rows("train", Json::parse(R"([["what?", "yes", 0], ["what?", "", 0]])"));
  expect_fault(options(), {"row 1", "answer \"\""});
  write_rows("train", Json::parse(R"([["", "yes", 0]])"));
  expect_fault(options(), {"row 0", "empty question"});
  write_rows("train", Json::parse("{}"));
  expect_fault(options(), {"train/questions.json", "no list of questions"});
  write_file_atomic(folder_ / "easy_vqa/data/train/questions.json", "[[\"what?\"");
  expect_fault(options(), {"train/questions.json"});
}

TEST_F(DemoDataTest, FaultsOfFashionAreNamed) {
  cut(garment_pictures("train"), 9);
  expect_fault(options(), {garment_pictures("train").string(), "truncated"});
  write_garments("train", 10);

  write_gz(garment_labels("train"), idx_bytes(0x803, {10, 1, 1}, std::string(10, '\0')));
  expect_fault(options(), {garment_labels("train").string(), "0x00000803", "0x00000801"});
  write_gz(garment_labels("train"), idx_bytes(0x801, {9}, std::string(9, '\0')));
  expect_fault(options(), {garment_labels("train").string(), "9 labels for the 10 pictures"});
  write_gz(garment_labels("train"), idx_bytes(0x801, {10}, std::string(9, '\0') + '\x0a'));
  expect_fault(options(), {garment_labels("train").string(), "label 9 is 10"});
  fs::remove(garment_labels("train"));
  expect_fault(options(), {garment_labels("train").string(), "dataset-fashion-mnist"});
}

TEST_F(DemoDataTest, ImpossibleOptionsAreNamed) {
  DemoDataOptions wrong = options();
  wrong.easy_vqa_validation = 6;
  expect_fault(wrong, {"easy_vqa_validation is 6", "less than the 6 pictures"});
  wrong = options();
  wrong.fashion_train = 11;
  expect_fault(wrong, {"fashion_train is 11", "at most the 10"});
  wrong = options();
  wrong.fashion_validation = 10;
  expect_fault(wrong, {"fashion_validation is 10", "less than the 10"});
  wrong = options();
  wrong.threads = 0;
  EXPECT_THROW(prepare_demo_data(wrong), UsageError);
}

TEST_F(DemoDataTest, EasyVqaIsFoundByOptionEnvironmentOrVenv) {
  DemoDataOptions wanted = options();
  wanted.easy_vqa_folder.clear();
  wanted.repo_root = folder_ / "repo";
  unsetenv("OCELLI_EASY_VQA");
  EXPECT_THAT([&] { find_easy_vqa(wanted); },
              ThrowsMessage<Error>(AllOf(HasSubstr("repo/.venv/lib/python3*"), HasSubstr("scripts/setup"))));
  const fs::path packages = folder_ / "repo/.venv/lib/python3.12/site-packages";
  fs::create_directories(packages);
  fs::copy(folder_ / "easy_vqa", packages / "easy_vqa", fs::copy_options::recursive);
  EXPECT_EQ(find_easy_vqa(wanted), packages / "easy_vqa/data");

  setenv("OCELLI_EASY_VQA", (folder_ / "elsewhere").c_str(), 1);
  EXPECT_THAT([&] { find_easy_vqa(wanted); }, ThrowsMessage<Error>(HasSubstr("elsewhere")));
  setenv("OCELLI_EASY_VQA", (folder_ / "easy_vqa").c_str(), 1);
  EXPECT_EQ(find_easy_vqa(wanted), folder_ / "easy_vqa/data");
  unsetenv("OCELLI_EASY_VQA");
}

class IdxFileTest : public DemoDataTest {
 protected:
  void expect_message(const std::string& bytes, int dimensions, const std::string& part) {
    const fs::path path = folder_ / "x.gz";
    write_gz(path, bytes);
    EXPECT_THAT([&] { read_idx(path, dimensions); }, ThrowsMessage<Error>(AllOf(HasSubstr(path.string()), HasSubstr(part))));
  }
};

TEST_F(IdxFileTest, ReadsShapeAndValuesPlainOrCompressed) {
  const std::string bytes = idx_bytes(0x802, {2, 3}, "abcdef");
  write_gz(folder_ / "x.gz", bytes);
  write_file_atomic(folder_ / "x", bytes);
  for (const char* name : {"x.gz", "x"}) {
    const IdxFile file = read_idx(folder_ / name, 2);
    EXPECT_EQ(file.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(std::string(file.values.begin(), file.values.end()), "abcdef");
  }
}

TEST_F(IdxFileTest, LyingHeadersAreNamed) {
  expect_message("abc", 1, "3 bytes, an idx header of 1 dimensions has 8");
  expect_message(idx_bytes(0xd01, {1}, "aaaa"), 1, "magic is 0x00000d01, expected 0x00000801");
  expect_message(idx_bytes(0x801, {0}, ""), 1, "dimension 0 is 0");
  expect_message(idx_bytes(0x803, {0xffffffff, 0xffffffff, 0xffffffff}, "a"), 3, "dimension 0 is 4294967295");
  expect_message(idx_bytes(0x803, {60000, 28, 28000}, "a"), 3, "dimension 2 is 28000");
  expect_message(idx_bytes(0x802, {20000, 28000}, std::string(5000, 'a')), 2, "5000 values, its header promises 560000000");
  expect_message(idx_bytes(0x801, {3}, "abcd"), 1, "holds more than the 3 values");
}

TEST_F(IdxFileTest, DamageIsNamed) {
  EXPECT_THAT([&] { read_idx(folder_ / "none.gz", 1); }, ThrowsMessage<Error>(HasSubstr("No such file")));
  EXPECT_THAT([&] { read_idx(folder_, 1); }, ThrowsMessage<Error>(HasSubstr("directory")));
  const fs::path path = folder_ / "x.gz";
  write_gz(path, idx_bytes(0x801, {4000}, std::string(4000, 'a')));
  std::string damaged = read_file(path);
  damaged[damaged.size() - 6] ^= 1;  // in the checksum
  write_file_atomic(path, damaged);
  EXPECT_THAT([&] { read_idx(path, 1); }, ThrowsMessage<Error>(HasSubstr("damaged")));
}

}  // namespace
}  // namespace ocelli::data
