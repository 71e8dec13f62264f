#include "ocelli/data/coco.h"

#include <gmock/gmock.h>

#include "ocelli/base/base64.h"
#include "ocelli/base/test_support.h"
#include "ocelli/data/format_test_support.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kImages =
    R"("images": [{"id": 5, "file_name": "a.jpg", "width": 100, "height": 50}, {"id": 6, "file_name": "../b.jpg", "width": 1, "height": 1}])";
constexpr const char* kCategories = R"("categories": [{"id": 1, "name": "cat"}, {"id": 90, "name": "dog"}])";
constexpr const char* kPrompts =
    R"j({"region_to_text": "What is {box}?", "text_to_region": "Where is {text}?", "box": "({x0},{y0},{x1},{y1})", "box_separator": " "})j";

std::shared_ptr<const Dataset> coco_of(const TemporaryFolder& folder, const std::string& annotations,
                                       const char* prompts = kPrompts) {
  spill(folder / "c.json", "{" + std::string(kImages) + ", \"annotations\": [" + annotations + "], " + kCategories + "}");
  DatasetOptions options = test::from(folder / "c.json");
  if (prompts) {
    spill(folder / "p.json", prompts);
    options.prompts = folder / "p.json";
  }
  return open_coco(options);
}

const std::string kCat =
    R"({"id": 1, "image_id": 5, "category_id": 1, "bbox": [10, 20, 5.5, 6], "iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 6]]})";
const std::string kDog = R"({"id": 2, "image_id": 5, "category_id": 90, "bbox": [0, 0, 1, 1]})";
const std::string kCrowd =
    R"({"id": 3, "image_id": 5, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 9, 9], "segmentation": {"size": [50, 100], "counts": [5000]}})";

TEST(Coco, InstancesBecomeRegionsAndQuestions) {
  const TemporaryFolder folder;
  std::string second = kCat;
  second.replace(second.find("[10, 20"), 7, "[30, 20");
  const auto data = coco_of(folder, kCat + "," + kDog + "," + kCrowd + "," + second);
  ASSERT_EQ(data->size(), 1);
  const Sample sample = data->get(0);
  EXPECT_TRUE(sample.independent);
  EXPECT_EQ(sample.pictures[0].path, folder / "a.jpg");
  ASSERT_EQ(sample.regions.size(), 4U);
  EXPECT_EQ(sample.regions[0].box, (std::array<double, 4>{10, 20, 15.5, 26}));
  EXPECT_EQ(sample.regions[1].text, "dog");
  EXPECT_TRUE(sample.regions[1].mask.is_null());
  EXPECT_EQ(sample.regions[2].mask["counts"][0], 5000);
  ASSERT_EQ(sample.count(), 5);  // three regions, two categories; the crowd isn't asked about
  EXPECT_EQ(sample.turns[0].text, "<image>\nWhat is (10,20,15.5,26)?");
  EXPECT_EQ(sample.turns[1].text, "cat");
  EXPECT_EQ(sample.turns[6].text, "Where is cat?");
  EXPECT_EQ(sample.turns[7].text, "(10,20,15.5,26) (30,20,35.5,26)");
}

TEST(Coco, InstancesNeedAWording) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { coco_of(folder, kCat, nullptr); }),
              AllOf(HasSubstr("region_to_text"), HasSubstr("text_to_region"), HasSubstr("box")));
  EXPECT_THAT(error_of([&] { coco_of(folder, kCat, R"({"region_to_text": "{box}"})"); }), HasSubstr("\"box\""));
  EXPECT_EQ(coco_of(folder, kCat, R"({"text_to_region": "{text}", "box": "{x0}"})")->get(0).count(), 1);
}

TEST(Coco, CaptionsAreIndependentQuestions) {
  const TemporaryFolder folder;
  const auto data = coco_of(
      folder,
      R"({"id": 1, "image_id": 5, "caption": "A cat."}, {"id": 2, "image_id": 6, "caption": "x"}, {"id": 3, "image_id": 5, "caption": "One cat."})",
      nullptr);
  ASSERT_EQ(data->size(), 2);
  const Sample sample = data->get(0);
  EXPECT_EQ(sample.count(), 2);
  EXPECT_EQ(sample.turns[0].text, "<image>\nDescribe the picture.");
  EXPECT_EQ(sample.turns[3].text, "One cat.");
  EXPECT_EQ(sample.references[1], (std::vector<std::string>{"A cat.", "One cat."}));
  EXPECT_THAT(error_of([&] { data->get(1); }), AllOf(HasSubstr("image 1"), HasSubstr("outside")));
}

TEST(Coco, NamesRecordAndField) {
  const TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {R"({"image_id": 5, "category_id": 7, "bbox": [0,0,1,1]})", "category_id is 7"},
      {R"({"image_id": 5, "category_id": 1, "bbox": [0,0,1]})", "bbox has 3 numbers"},
      {R"({"image_id": 5, "category_id": 1, "bbox": [0,0,-1,1]})", "-1 wide"},
      {R"({"image_id": 8, "category_id": 1, "bbox": [0,0,1,1]})", "no image has the id 8"},
      {R"({"category_id": 1, "bbox": [0,0,1,1]})", "no \"image_id\""},
      {"", "no annotation"},
  };
  for (const auto& [annotation, what] : cases)
    EXPECT_THAT(error_of([&] { coco_of(folder, annotation)->get(0); }), AllOf(HasSubstr("c.json"), HasSubstr(what)))
        << annotation;
  const std::string deep =
      R"({"image_id": 5, "category_id": 1, "bbox": )" + std::string(10000, '[') + std::string(10000, ']') + "}";
  EXPECT_THAT(error_of([&] { coco_of(folder, deep)->get(0); }), AllOf(HasSubstr("annotation 0"), HasSubstr("64 levels")));
  spill(folder / "c.json", "[1]");
  EXPECT_THAT(error_of([&] { open_coco(test::from(folder / "c.json")); }), HasSubstr("no list \"annotations\""));
}

TEST(Coco, WhatIsWrittenReadsBack) {
  const TemporaryFolder folder;
  // A grey pixel.
  const std::string png =
      decode_base64("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==", "png", 1000);
  Sample sample;
  sample.id = "s";
  sample.pictures = {Picture(png, "", "memory")};
  sample.turns = {{Turn::Role::kUser, "<image>\nq"}, {Turn::Role::kAssistant, "A dot."}};
  const auto captions = write_coco(test::into(folder / "captions.json"));
  captions->write(sample);
  captions->finish();
  DatasetOptions options = test::from(folder / "captions.json");
  EXPECT_EQ(open_coco(options)->get(0).turns[1].text, "A dot.");
  EXPECT_EQ(*open_coco(options)->get(0).pictures[0].encoded(), png);

  Region region;
  region.text = "dot";
  region.box = {0, 0, 1, 1};
  region.mask = Json{{"size", {1, 1}}, {"counts", "01"}};
  sample.regions = {region};
  EXPECT_THAT(error_of([&] { captions->write(sample); }), HasSubstr("has regions"));
  const auto instances = write_coco(test::into(folder / "instances.json"));
  sample.regions[0].mask = nullptr;
  sample.regions.push_back(region);
  sample.regions[1].mask = Json{{"size", {1, 1}}, {"counts", {0, 1}}};
  sample.extra["iscrowd"] = {0, 1};
  instances->write(sample);
  instances->finish();
  options.path = folder / "instances.json";
  spill(folder / "p.json", kPrompts);
  options.prompts = folder / "p.json";
  const Sample back = open_coco(options)->get(0);
  ASSERT_EQ(back.regions.size(), 2U);
  EXPECT_EQ(back.count(), 2);
  EXPECT_EQ(back.regions[1].mask, sample.regions[1].mask);
  EXPECT_EQ(back.extra, sample.extra);
  EXPECT_EQ(back.regions[0].text, "dot");
  EXPECT_EQ(back.regions[0].box, region.box);
}

}  // namespace
}  // namespace ocelli::data
