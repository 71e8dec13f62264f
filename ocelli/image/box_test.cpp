#include "ocelli/image/box.h"

#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"

namespace ocelli::image {
namespace {

TEST(Box, IsShiftedByThePaddingAndDividedByTheSide) {
  const Box box = in_padded_square({20, 15, 90, 70}, {.height = 100, .width = 150});
  EXPECT_DOUBLE_EQ(box.x1, 20.0 / 150);
  EXPECT_DOUBLE_EQ(box.y1, 40.0 / 150);
  EXPECT_DOUBLE_EQ(box.x2, 90.0 / 150);
  EXPECT_DOUBLE_EQ(box.y2, 95.0 / 150);
  EXPECT_EQ(in_padded_square({0, 0, 2, 3}, {.height = 3, .width = 2}), (Box{0, 0, 2.0 / 3, 1}));
}

TEST(Box, NamesCornersThatDoNotFit) {
  EXPECT_EQ(test::error_of([] {
              in_padded_square({20, 15, 160, 70}, {.height = 100, .width = 150});
            }),
            "box 20, 15, 160, 70: expected left, top, right, bottom within the picture's 150 x 100 pixels");
  EXPECT_NE(test::error_of([] { in_padded_square({30, 15, 20, 70}, {.height = 100, .width = 150}); }), "");
}

}  // namespace
}  // namespace ocelli::image
