#include "ocelli/model/slice_markers.h"

#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::model {
namespace {

PlaceholderRule rule_of(bool slices) {
  PlaceholderRule rule;
  rule.kind = PlaceholderRule::Kind::kSpan;
  rule.token_id = 0;
  rule.begin_id = 101;
  rule.end_id = 102;
  if (slices) {
    rule.slice_begin_id = 111;
    rule.slice_end_id = 112;
  }
  return rule;
}

image::Tiling cut(int64_t rows, int64_t columns) {
  image::Tiling tiling;
  tiling.tiles = {rows, columns};
  if (rows * columns > 1) tiling.overview = image::Tiling::Overview::kFirst;
  return tiling;
}

std::vector<int64_t> plain(const PlacedIds& placed) {
  std::vector<int64_t> ids;
  for (const int64_t id : placed.ids) ids.push_back(plain_id(id));
  return ids;
}

TEST(EmptySpans, AreToldFromFilledOnes) {
  const PlaceholderRule rule = rule_of(true);
  EXPECT_TRUE(has_empty_spans(rule, std::vector<int64_t>{1, 101, 102, 5, 101, 102}, 2));
  EXPECT_FALSE(has_empty_spans(rule, std::vector<int64_t>{1, 101, 102, 5}, 2));
  EXPECT_FALSE(has_empty_spans(rule, std::vector<int64_t>{1, 101, 0, 102}, 1));
  EXPECT_FALSE(has_empty_spans(rule, std::vector<int64_t>{1, 101}, 1));
  EXPECT_FALSE(has_empty_spans(rule, std::vector<int64_t>{1, 7}, 0));
}

TEST(EmptySpans, AreSpelledOutViewByView) {
  const std::vector<int64_t> ids = {1, 101, 102, 5, 7, 101, 102};
  const image::Tiling pictures[] = {cut(1, 1), cut(2, 2)};
  const PlacedIds placed = fill_empty_spans(rule_of(true), ids, std::vector<int64_t>{2, 10}, pictures, std::vector<int64_t>{5});
  EXPECT_EQ(plain(placed), (std::vector<int64_t>{1,   101, 0, 0, 102, 5, 7,   101, 0, 0,   102, 111, 101, 0,   0,
                                                 102, 101, 0, 0, 102, 5, 101, 0,   0, 102, 101, 0,   0,   102, 112}));
  // Rows of visual tokens are marked, all others not; each says where it comes from.
  ASSERT_EQ(placed.source.size(), placed.ids.size());
  int64_t visual = 0;
  for (size_t i = 0; i < placed.ids.size(); ++i) {
    if (is_visual(placed.ids[i])) ++visual;
    EXPECT_EQ(is_visual(placed.ids[i]), plain_id(placed.ids[i]) == 0);
    EXPECT_EQ(placed.source[i], i == 0 ? 0 : i < 5 ? 1 : i == 5 ? 3 : i == 6 ? 4 : 5);
  }
  EXPECT_EQ(visual, 12);
}

TEST(EmptySpans, WithoutSlicesAreOneSpanAPicture) {
  const std::vector<int64_t> ids = {9, 101, 102};
  const PlacedIds placed = fill_empty_spans(rule_of(false), ids, std::vector<int64_t>{3}, {}, {});
  EXPECT_EQ(plain(placed), (std::vector<int64_t>{9, 101, 0, 0, 0, 102}));
}

TEST(EmptySpans, NameCountsThatDoNotFit) {
  const std::vector<int64_t> ids = {101, 102};
  const image::Tiling pictures[] = {cut(1, 2)};
  EXPECT_EQ(test::error_of([&] { fill_empty_spans(rule_of(true), ids, std::vector<int64_t>{4}, pictures, {}); }),
            "picture 0 has 4 visual tokens for 3 views");
  EXPECT_EQ(test::error_of([&] { fill_empty_spans(rule_of(true), ids, std::vector<int64_t>{4}, {}, {}); }),
            "the text has slices of 1 pictures, but it is known of 0 how they are cut");
}

}  // namespace
}  // namespace ocelli::model
