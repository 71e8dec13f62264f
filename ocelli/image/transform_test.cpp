#include "ocelli/image/transform.h"

#include <gtest/gtest.h>

#include <vector>

#include "ocelli/image/test_pictures.h"

namespace ocelli::image {
namespace {

using namespace testing;  // NOLINT: ocelli::image::testing

TEST(Crop, TakesTheRectangleAndBlackBeyondThePicture) {
  const Image source = random_image(5, 4, 1);
  const Image out = crop(source, -1, 2, 4, 5);
  ASSERT_EQ(out.width, 4);
  ASSERT_EQ(out.height, 5);
  for (int64_t y = 0; y < 5; ++y) {
    for (int64_t x = 0; x < 4; ++x) {
      for (int64_t channel = 0; channel < 3; ++channel) {
        const bool inside = x >= 1 && y < 2;
        EXPECT_EQ(out.row(y)[x * 3 + channel], inside ? source.row(y + 2)[(x - 1) * 3 + channel] : 0);
      }
    }
  }
}

TEST(Crop, WhollyOutsideIsBlack) {
  const Image source = random_image(5, 4, 1);
  for (const auto& [left, top] : {std::pair{-9, 0}, {5, 0}, {0, -9}, {0, 4}}) {
    EXPECT_EQ(largest_difference(crop(source, left, top, 3, 3), Image(3, 3)), 0);
  }
  EXPECT_THROW(crop(source, 0, 0, -1, 3), Error);
}

TEST(Pad, PutsThePictureOnAColour) {
  const Image source = random_image(3, 2, 1);
  const Image out = pad(source, 6, 5, 2, 1, {10, 20, 30});
  EXPECT_EQ(largest_difference(crop(out, 2, 1, 3, 2), source), 0);
  for (int64_t y = 0; y < 5; ++y) {
    for (int64_t x = 0; x < 6; ++x) {
      if (x >= 2 && x < 5 && y >= 1 && y < 3) continue;
      const uint8_t* pixel = out.row(y) + x * 3;
      EXPECT_TRUE(pixel[0] == 10 && pixel[1] == 20 && pixel[2] == 30);
    }
  }
}

TEST(Pad, RefusesWhatDoesNotFit) {
  const Image source = random_image(3, 2, 1);
  EXPECT_THROW(pad(source, 2, 5, 0, 0, {}), Error);
  EXPECT_THROW(pad(source, 6, 5, 4, 0, {}), Error);
  EXPECT_THROW(pad(source, 6, 5, -1, 0, {}), Error);
}

TEST(Normalize, IsPlanarAndRoundsAsTransformers) {
  Image source(2, 1);
  source.pixels = {0, 127, 255, 1, 128, 200};
  std::vector<float> out(6);
  const std::array<float, 3> mean = {0.48145466f, 0.4578275f, 0.40821073f}, std = {0.26862954f, 0.26130258f, 0.27577711f};
  normalize(source, mean, std, 0.00392156862745098, out);
  // numpy 2: ((pixel.astype(float64) * scale).astype(float32) - mean) / std, mean and std float32.
  const float expected[] = {-0x1.cad1b8p+0f, -0x1.c714fep+0f, 0x1.3b2a62p-3f, 0x1.59e6d6p-3f, 0x1.12accp+1f, 0x1.5d2192p+0f};
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], expected[i]) << i;
}

}  // namespace
}  // namespace ocelli::image
