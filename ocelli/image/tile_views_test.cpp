#include "ocelli/image/tile_views.h"

#include <gtest/gtest.h>

#include "ocelli/base/error.h"

// That every pixel is the reference's is tested by tests/parity/test_tiling.py.

namespace ocelli::image {
namespace {

/// Each quarter of one value: 10 20 over 30 40.
Image quarters(int64_t side) {
  Image image(side, side);
  for (int64_t y = 0; y < side; ++y) {
    for (int64_t x = 0; x < 3 * side; ++x) {
      image.row(y)[x] = static_cast<uint8_t>(10 + (y < side / 2 ? 0 : 20) + (x < 3 * (side / 2) ? 0 : 10));
    }
  }
  return image;
}

TEST(TileViews, AreAsManyAndAsLargeAsTheTilingSays) {
  const Image picture = quarters(90);
  const AnyResOptions next{.canvases = {{16, 48}, {32, 32}}, .tile_side = 16};
  const Idefics3Options idefics{.longest_edge = 64, .tile_side = 16};
  const Size size{90, 90};
  const Tiling tilings[] = {anyres(next, size), internvl_tiles({.tile = {16, 16}}, size),
                            uhd_slices({.scale_resolution = 28, .patch_size = 7}, size), idefics3_tiles(idefics, size)};
  const std::vector<Image> views[] = {anyres_views(picture, tilings[0]), stretched_views(picture, tilings[1]),
                                      stretched_views(picture, tilings[2]), idefics3_views(picture, idefics, tilings[3])};
  for (size_t i = 0; i < std::size(tilings); ++i) {
    ASSERT_EQ(static_cast<int64_t>(views[i].size()), tilings[i].count());
    ASSERT_GT(tilings[i].count(), 1);
    for (size_t j = 0; j < views[i].size(); ++j) {
      EXPECT_EQ((Size{views[i][j].height, views[i][j].width}), tilings[i].view_size(static_cast<int64_t>(j)));
    }
  }
}

TEST(TileViews, TilesGoRowByRowAndTheOverviewWhereItBelongs) {
  Tiling tiling{.tiles = {2, 2}, .tile_height = 8, .tile_width = 8, .overview_height = 16, .overview_width = 16};
  for (const auto overview : {Tiling::Overview::kFirst, Tiling::Overview::kLast}) {
    tiling.overview = overview;
    const std::vector<Image> views = stretched_views(quarters(16), tiling);
    const size_t first = overview == Tiling::Overview::kFirst ? 1 : 0;
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(views[first + i].pixels, std::vector<uint8_t>(8 * 8 * 3, 10 * (i + 1)));
    EXPECT_EQ(views[first == 1 ? 0 : 4].pixels, quarters(16).pixels);
  }
}

TEST(PadSquare, RefusesWhatWouldBeTooLargeBeforeItIsMade) {
  try {
    pad_square(Image(100'000, 1), 1400, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "pad_square: a picture of 100000 x 1 pixels to a square of 1400; sides must be at least 1, 100000 times 1400 at "
                 "most 134217728");
  }
}

TEST(NormalizeCentred, SurroundsWithZerosNotWithBlack) {
  Image pixel(1, 1);
  pixel.pixels = {30, 60, 90};
  std::vector<float> out(3 * 2 * 4);
  normalize_centred(pixel, {2, 4}, {10, 10, 10}, {10, 10, 10}, 1.0, out);
  std::vector<float> expected(24, 0.0F);
  expected[1] = 2;  // an odd difference: the larger half lies right and below
  expected[9] = 5;
  expected[17] = 8;
  EXPECT_EQ(out, expected);
}

}  // namespace
}  // namespace ocelli::image
