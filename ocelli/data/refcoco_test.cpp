#include "ocelli/data/refcoco.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"
#include "ocelli/data/format_test_support.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kPrompts =
    R"j({"text_to_region": "Where is {text}?", "text_to_region_answer": "<ref>{text}</ref>{boxes}", "box": "[{x0/1000},{y0/1000},{x1/1000},{y1/1000}]"})j";
constexpr const char* kInstances =
    R"({"images": [{"id": 5, "file_name": "COCO_train2014_000000000005.jpg", "width": 100, "height": 50}],
 "annotations": [{"id": 11, "image_id": 5, "category_id": 1, "bbox": [10, 20, 5, 6]}], "categories": [{"id": 1, "name": "cat"}]})";
// [{'image_id': 5, 'ann_id': 11, 'split': 'val', 'sentences': [{'sent': 'left cat'}, {'sent': 'the cat'}]}, {… 'testA', ann_id
// 12}], protocol 0.
constexpr const char* kRefs =
    "((dS'image_id'\nI5\nsS'ann_id'\nI11\nsS'split'\nS'val'\nsS'sentences'\n((dS'sent'\nS'left cat'\ns(dS'sent'\nVthe cat\nslsl";
constexpr const char* kTail = "(dS'image_id'\nI5\nsS'ann_id'\nI12\nsS'split'\nS'testA'\nsS'sentences'\n((dS'sent'\nS'x'\nslsl.";

DatasetOptions refs_of(const TemporaryFolder& folder, const std::string& refs, const std::string& split) {
  spill(folder / "refs(unc).p", refs);
  spill(folder / "instances.json", kInstances);
  spill(folder / "p.json", kPrompts);
  DatasetOptions options = test::from(folder / "refs(unc).p");
  options.prompts = folder / "p.json";
  options.split = split;
  return options;
}

/// The list's items, without the closing of kRefs and kTail, which each close a list of one.
std::string both() {
  std::string first = kRefs, second = kTail;
  return first.substr(0, first.size() - 1) + second;
}

TEST(RefCoco, ReadsThePickleOfASplit) {
  const TemporaryFolder folder;
  const auto data = open_refcoco(refs_of(folder, both(), "val"));
  ASSERT_EQ(data->size(), 1);
  const Sample sample = data->get(0);
  EXPECT_EQ(sample.pictures[0].path, folder / "COCO_train2014_000000000005.jpg");
  ASSERT_EQ(sample.count(), 2);
  EXPECT_EQ(sample.turns[0].text, "<image>\nWhere is left cat?");
  EXPECT_EQ(sample.turns[3].text, "<ref>the cat</ref>[100,400,150,520]");
  ASSERT_EQ(sample.regions.size(), 2U);
  EXPECT_EQ(sample.regions[1].text, "the cat");
  EXPECT_EQ(sample.regions[1].box, (std::array<double, 4>{10, 20, 15, 26}));
}

TEST(RefCoco, NamesWhatIsWrong) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { open_refcoco(refs_of(folder, both(), "testA"))->get(0); }),
              AllOf(HasSubstr("refs(unc).p, ref 1"), HasSubstr("ann_id is 12"), HasSubstr("instances.json")));
  EXPECT_THAT(error_of([&] { open_refcoco(refs_of(folder, both(), "test")); }), HasSubstr("there are testA, val"));
  EXPECT_THAT(error_of([&] { open_refcoco(refs_of(folder, "(cos\nsystem\n(S'ls'\ntRl.", "")); }),
              AllOf(HasSubstr("refs(unc).p"), HasSubstr("os.system")));
  EXPECT_THAT(error_of([&] { open_refcoco(refs_of(folder, "(I1\nl.", "")); }), HasSubstr("ref 0: expected a dict"));
  DatasetOptions options = refs_of(folder, both(), "");
  options.prompts.clear();
  EXPECT_THAT(error_of([&] { open_refcoco(options); }), AllOf(HasSubstr("text_to_region"), HasSubstr("box")));
  options = refs_of(folder, both(), "");
  std::filesystem::remove(folder / "instances.json");
  EXPECT_THAT(error_of([&] { open_refcoco(options); }), AllOf(HasSubstr("annotations"), HasSubstr("instances.json")));
}

TEST(RefCoco, ReadsLines) {
  const TemporaryFolder folder;
  spill(folder / "p.json", kPrompts);
  spill(folder / "r.jsonl", R"({"image": "a/x.jpg", "width": 200, "height": 100, "sent": "left", "bbox": [20, 10, 40.5, 90]})"
                            "\n"
                            R"({"image": "../x.jpg", "width": 200, "height": 100, "sent": "left", "bbox": [20, 10, 40, 90]})"
                            "\n"
                            R"({"image": "x.jpg", "width": 200, "height": 100, "sent": "left", "bbox": [50, 10, 40, 90]})"
                            "\n"
                            R"({"image": "x.jpg", "width": 0, "height": 100, "sent": "left", "bbox": [50, 10, 40, 90]})");
  DatasetOptions options = test::from(folder / "r.jsonl");
  options.prompts = folder / "p.json";
  const auto data = open_refcoco(options);
  ASSERT_EQ(data->size(), 4);
  const Sample sample = data->get(0);
  EXPECT_EQ(sample.turns[1].text, "<ref>left</ref>[100,100,203,900]");  // 202.5 goes up
  EXPECT_EQ(sample.regions[0].box[2], 40.5);
  EXPECT_THAT(error_of([&] { data->get(1); }), AllOf(HasSubstr("record 1"), HasSubstr("outside")));
  EXPECT_THAT(error_of([&] { data->get(2); }), AllOf(HasSubstr("record 2"), HasSubstr("x0 <= x1")));
  EXPECT_THAT(error_of([&] { data->get(3); }), AllOf(HasSubstr("record 3"), HasSubstr("width")));
}

}  // namespace
}  // namespace ocelli::data
