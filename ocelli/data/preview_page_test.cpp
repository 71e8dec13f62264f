#include "ocelli/data/preview_page.h"

#include <gmock/gmock.h>

#include <limits>

#include "ocelli/data/preview_pictures.h"
#include "ocelli/image/tile_views.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::data {
namespace {

/// Ids are letters from 'a' on.
class Letters final : public text::Tokenizer {
 public:
  std::vector<int64_t> encode(std::string_view text, bool) const override { return {text.begin(), text.end()}; }
  std::string decode(std::span<const int64_t> ids, bool) const override {
    std::string out;
    for (const int64_t id : ids) out += static_cast<char>('a' + id);
    return out;
  }
  int64_t vocab_size() const override { return 26; }
  std::optional<int64_t> id_of(std::string_view) const override { return {}; }
  std::string token_of(int64_t id) const override { return decode(std::span(&id, 1), false); }
  bool is_special(int64_t) const override { return false; }
};

TEST(PreviewPage, ShowsIdsAsPiecesOfText) {
  const int64_t seen = model::visual_id(5);
  const auto runs = text_runs(Letters(), {0, 1, seen, seen, 2, 3, 4, 99}, {false, false, false, false, false, true, true, true});
  std::string text;
  for (const report::TextRun& run : runs) text += run.text + (run.marked ? "*" : run.faint ? "~" : "") + "|";
  EXPECT_EQ(text, "ab|[2 visual tokens]~|c|de<id 99>*|");
}

TEST(PreviewPictures, GiveTheViewsBackAsTheyWere) {
  image::Image picture(90, 60);
  for (size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = static_cast<uint8_t>(i * 7 % 256);
  model::ImageProcessor images;
  images.cut = model::ImageProcessor::Cut::kInternVl;
  images.mean = model::kClipMean;
  images.std = model::kClipStd;
  images.internvl = {.min_tiles = 1, .max_tiles = 6, .tile = {20, 20}};
  const model::PixelTiles pixels = images.process(picture);
  ASSERT_EQ(pixels.tiling.tiles, (image::Grid{2, 3}));
  const SeenViews views = seen_views(pixels, images);
  const auto expected = image::stretched_views(picture, pixels.tiling, images.filter);
  EXPECT_EQ(views.tiles.width, 3 * 20 + 2 * 6);
  EXPECT_EQ(views.tiles.height, 2 * 20 + 6);
  EXPECT_EQ(views.overview.pixels, expected.back().pixels);
  for (int64_t i = 0; i < 6; ++i) {
    for (int64_t y = 0; y < 20; ++y) {
      const uint8_t* row = views.tiles.row(i / 3 * 26 + y) + 3 * (i % 3 * 26);
      ASSERT_TRUE(std::equal(row, row + 60, expected[static_cast<size_t>(i)].row(y))) << "tile " << i << ", row " << y;
    }
  }
}

TEST(PreviewPictures, DrawBoxesInsideThePicture) {
  image::Image picture(20, 10);
  Region inside, outside, other;
  inside.box = {4, 2, 16, 8};
  outside.box = {-1e300, -5, 1e300, std::numeric_limits<double>::quiet_NaN()};
  other.box = {0, 0, 20, 10};
  other.picture = 1;
  draw_boxes(picture, std::vector{inside, outside, other}, 0, 0.5);
  const auto lit = [&](int64_t x, int64_t y) { return picture.row(y)[3 * x] == box_colours()[0].rgb[0]; };
  EXPECT_TRUE(lit(2, 1) && lit(7, 3) && lit(2, 3) && lit(7, 1));
  EXPECT_FALSE(lit(4, 2) || lit(8, 1) || lit(2, 4) || lit(0, 0));
}

TEST(PreviewPictures, AreReducedInProportion) {
  const image::Image small = reduced(image::Image(1000, 10), 100);
  EXPECT_EQ(small.width, 100);
  EXPECT_EQ(small.height, 1);
  EXPECT_EQ(reduced(image::Image(30, 20), 100).width, 30);
}

}  // namespace
}  // namespace ocelli::data
