#include "ocelli/data/concat_dataset.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ::testing::HasSubstr;

class Named final : public Dataset {
 public:
  Named(std::string name, int64_t size) : name_(std::move(name)), size_(size) {}
  int64_t size() const override { return size_; }
  const std::string& name() const override { return name_; }
  Sample get(int64_t index) const override {
    Sample sample;
    sample.id = name_ + std::to_string(index);
    return sample;
  }

 private:
  std::string name_;
  int64_t size_;
};

TEST(ConcatDataset, GoesThroughItsPartsInOrder) {
  const ConcatDataset all("all",
                          {std::make_shared<Named>("a", 2), std::make_shared<Named>("b", 0), std::make_shared<Named>("c", 3)});
  ASSERT_EQ(all.size(), 5);
  std::string ids;
  for (int64_t i = 0; i < all.size(); ++i) ids += all.get(i).id + " ";
  EXPECT_EQ(ids, "a0 a1 c0 c1 c2 ");
  EXPECT_THAT(error_of([&] { all.get(5); }), HasSubstr("sample 5 of 5"));
  EXPECT_THAT(error_of([] { ConcatDataset("none", {}); }), HasSubstr("no file"));
}

}  // namespace
}  // namespace ocelli::data
