#include "ocelli/image/tiling.h"

#include <gtest/gtest.h>

#include "ocelli/base/error.h"

// Facts and bounds; that every size is the reference's is tested by tests/parity/test_tiling.py.

namespace ocelli::image {
namespace {

using Overview = Tiling::Overview;

template <typename Function>
std::string error_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

const AnyResOptions kLlava16{
    .canvases =
        canvases_of(std::vector<std::pair<int64_t, int64_t>>{{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}},
                    PairOrder::kWidthHeight)};

TEST(Tiling, ViewsLieInTheOrderOfTheTower) {
  Tiling tiling{.tiles = {2, 3}, .tile_height = 4, .tile_width = 5};
  EXPECT_EQ(tiling.count(), 6);
  EXPECT_EQ(tiling.view_size(0), (Size{4, 5}));
  tiling.overview_height = 6;
  tiling.overview_width = 7;
  tiling.overview = Overview::kFirst;
  EXPECT_EQ(tiling.count(), 7);
  EXPECT_EQ(tiling.view_size(0), (Size{6, 7}));
  EXPECT_EQ(tiling.view_size(6), (Size{4, 5}));
  tiling.overview = Overview::kLast;
  EXPECT_EQ(tiling.view_size(0), (Size{4, 5}));
  EXPECT_EQ(tiling.view_size(6), (Size{6, 7}));
}

TEST(AnyRes, PublishedSizesGiveThePublishedNumbersOfTokens) {
  // 576 of the overview and a newline a row; LLaVA-1.6 with a 24 x 24 tower.
  const auto tokens = [](Size picture, PairOrder order, Unpad unpad) {
    AnyResOptions options = kLlava16;
    if (order == PairOrder::kHeightWidth) {
      for (Size& canvas : options.canvases) std::swap(canvas.height, canvas.width);
    }
    const Tiling tiling = anyres(options, picture);
    const Grid kept = unpadded_grid({tiling.tiles.rows * 24, tiling.tiles.columns * 24}, picture, unpad);
    return 576 + kept.rows * (kept.columns + 1);
  };
  EXPECT_EQ(tokens({336, 336}, PairOrder::kWidthHeight, Unpad::kTruncate), 1176);
  EXPECT_EQ(tokens({672, 672}, PairOrder::kWidthHeight, Unpad::kTruncate), 2928);
  EXPECT_EQ(tokens({720, 1280}, PairOrder::kWidthHeight, Unpad::kTruncate), 1948);
  EXPECT_EQ(tokens({480, 640}, PairOrder::kWidthHeight, Unpad::kTruncate), 2340);
  EXPECT_EQ(tokens({899, 1024}, PairOrder::kHeightWidth, Unpad::kRounded), 2634);
  // Ties go to the tall canvas when the pairs are (width, height), to the wide one when they are (height, width).
  EXPECT_EQ(tokens({200, 300}, PairOrder::kWidthHeight, Unpad::kTruncate), 976);
  EXPECT_EQ(tokens({200, 300}, PairOrder::kHeightWidth, Unpad::kRounded), 1464);
}

TEST(UnpaddedGrid, RoundingKeepsAColumnThatTruncationLoses) {
  // 205 * (6 / 82) is 14.999999999999998.
  EXPECT_EQ(unpadded_grid({6, 18}, {.height = 82, .width = 205}, Unpad::kTruncate).columns, 14);
  EXPECT_EQ(unpadded_grid({6, 18}, {.height = 82, .width = 205}, Unpad::kRounded).columns, 16);
}

TEST(InternVlTiles, OneTileHasNoThumbnail) {
  EXPECT_EQ(internvl_tiles({}, {448, 448}).overview, Overview::kNone);
  const Tiling wide = internvl_tiles({}, {.height = 400, .width = 1000});
  EXPECT_EQ(wide.tiles, (Grid{2, 5}));
  EXPECT_EQ(wide.overview, Overview::kLast);
  EXPECT_EQ(internvl_tiles({.thumbnail = false}, {.height = 400, .width = 1000}).overview, Overview::kNone);
}

TEST(UhdSlices, APictureOfOneSliceIsNotCut) {
  const Tiling small = uhd_slices({}, {.height = 448, .width = 448});
  EXPECT_EQ(small.count(), 1);
  EXPECT_EQ(small.view_size(0), (Size{448, 448}));
  const Tiling large = uhd_slices({}, {.height = 449, .width = 448});
  EXPECT_EQ(large.tiles.count(), 2);
  EXPECT_EQ(large.overview, Overview::kFirst);
}

TEST(SmartResize, RefusesNeedles) {
  EXPECT_EQ(smart_resize({}, {.height = 100, .width = 20000}), (Size{56, 14140}));
  EXPECT_EQ(error_of([] { smart_resize({}, {.height = 100, .width = 20001}); }),
            "smart_resize: a picture of 20001 x 100 pixels; one side must not be more than 200 times the other");
}

TEST(Tilings, NameWhatIsOutOfRange) {
  EXPECT_EQ(error_of([] { anyres(kLlava16, {0, 5}); }), "anyres: a picture of 5 x 0 pixels; each side must be 1 to 67108864");
  EXPECT_EQ(error_of([] { anyres({}, {5, 5}); }), "anyres: no canvas to choose from; image_grid_pinpoints must not be empty");
  EXPECT_EQ(error_of([] {
              anyres({.canvases = {{336, 500}}}, {5, 5});
            }),
            "anyres: canvas 500 x 336 is no multiple of the tile's side 336");
  EXPECT_EQ(error_of([] {
              anyres({.canvases = {{16384, 16384}}, .tile_side = 8192}, {5, 5});
            }),
            "anyres: a picture of 5 x 5 pixels becomes views of 335544320 pixels; at most 134217728 are made");
  EXPECT_EQ(error_of([] {
              internvl_tiles({.min_tiles = 3, .max_tiles = 2}, {5, 5});
            }),
            "internvl_tiles: 3 to 2 tiles; expected 1 <= min <= max <= 1024");
  EXPECT_EQ(error_of([] { uhd_slices({.max_slice_nums = 0}, {5, 5}); }), "uhd_slices: max_slice_nums is 0, expected 1 to 1024");
  EXPECT_EQ(error_of([] {
              idefics3_tiles({.longest_edge = 0}, {5, 5});
            }),
            "idefics3_tiles: longest_edge is 0, expected 1 to 67108864");
  EXPECT_EQ(error_of([] {
              longest_side({1, 10000}, 256, 0, LongestSide::kHalfUp);
            }),
            "longest_side: a picture of 10000 x 1 pixels becomes 256 x 0; each side must be at least 1");
}

}  // namespace
}  // namespace ocelli::image
