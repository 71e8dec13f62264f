// Pixels of two towers from one picture, and DeepSeek-VL's preprocessing tables.
#include "ocelli/model/second_view.h"

#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/model/image_processor.h"

namespace ocelli::model {
namespace {

using test::error_of;

/// Red rises along a row, green down a column.
image::Image ramp(int64_t width, int64_t height) {
  image::Image out(width, height);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      uint8_t* pixel = out.row(y) + 3 * x;
      pixel[0] = static_cast<uint8_t>(8 * x);
      pixel[1] = static_cast<uint8_t>(8 * y);
      pixel[2] = 7;
    }
  }
  return out;
}

/// Numbers are the bytes themselves.
ImageProcessor plain(int64_t side, SecondView second) {
  ImageProcessor out;
  out.size = out.height = out.width = side;
  out.mean = {0, 0, 0};
  out.std = {1, 1, 1};
  out.rescale_factor = 1;
  out.second = second;
  return out;
}

TEST(SecondView, TilesAreCutRowByRowAndTheWholeComesLast) {
  const ImageProcessor processor = plain(8, {.kind = SecondView::Kind::kTiles, .side = 2, .grid = 2, .whole = true});
  const PixelTiles out = processor.process(ramp(8, 8));
  EXPECT_EQ(out.tiling.count(), 5);
  EXPECT_EQ(out.tiling.overview, image::Tiling::Overview::kLast);
  EXPECT_EQ(out.tiling.view_size(4), (image::Size{2, 2}));
  ASSERT_EQ(out.pixels.size(), 5U * 3 * 4);
  // Halved, columns lie at 0.5, 2.5, 4.5, 6.5 of the ramp; halved once more at 1.5 and 5.5.
  const float at[] = {4, 20, 36, 52};
  for (int64_t tile = 0; tile < 4; ++tile) {
    for (int64_t y = 0; y < 2; ++y) {
      for (int64_t x = 0; x < 2; ++x) {
        const auto value = [&](int64_t plane) { return out.pixels[static_cast<size_t>(tile * 12 + plane * 4 + y * 2 + x)]; };
        EXPECT_FLOAT_EQ(value(0), at[2 * (tile % 2) + x]) << tile;
        EXPECT_FLOAT_EQ(value(1), at[2 * (tile / 2) + y]) << tile;
        EXPECT_FLOAT_EQ(value(2), 7);
      }
    }
  }
  EXPECT_FLOAT_EQ(out.pixels[48], 12);
  EXPECT_FLOAT_EQ(out.pixels[49], 44);
  EXPECT_FLOAT_EQ(out.pixels[48 + 4 + 2], 44);
  ASSERT_EQ(out.aux.size(), 3U * 64);
  EXPECT_EQ(out.aux_height, 8);
  EXPECT_FLOAT_EQ(out.aux[9], 8);
  ImageProcessor alone = plain(8, {.kind = SecondView::Kind::kTiles, .side = 2, .grid = 2});
  EXPECT_EQ(alone.tiling(8, 8).count(), 4);
  alone.second->grid = 1;
  alone.second->whole = true;
  EXPECT_EQ(alone.process(ramp(8, 8)).pixels.size(), 12U);  // one tile is the whole
}

TEST(SecondView, ShrunkNumbersAreTheSecondTowers) {
  const PixelTiles out = plain(8, {.kind = SecondView::Kind::kShrunk, .side = 2}).process(ramp(8, 8));
  ASSERT_EQ(out.pixels.size(), 3U * 64);
  EXPECT_FLOAT_EQ(out.pixels[9], 8);
  ASSERT_EQ(out.aux.size(), 12U);
  EXPECT_EQ(out.aux_width, 2);
  // Antialiased: a triangle of half-width 4 around 1.5, cut at the edge.
  EXPECT_NEAR(out.aux[0], 8 * (0.625 * 0 + 0.875 * 1 + 0.875 * 2 + 0.625 * 3 + 0.375 * 4 + 0.125 * 5) / 3.5, 1e-4);
  EXPECT_EQ(plain(8, {.kind = SecondView::Kind::kShrunk, .side = 2}).tiling(8, 8).tile_height, 8);
}

TEST(SecondView, ShrunkBytesHaveNumbersOfTheirOwn) {
  ImageProcessor processor = plain(8, {.kind = SecondView::Kind::kShrunkBytes, .side = 2, .filter = image::Filter::kBox});
  processor.second->mean = {1, 2, 3};
  processor.second->std = {2, 2, 2};
  const PixelTiles out = processor.process(ramp(8, 8));
  ASSERT_EQ(out.pixels.size(), 12U);
  EXPECT_FLOAT_EQ(out.pixels[0], (12 - 1) / 2.0F);  // the box's mean of 0, 8, 16, 24
  EXPECT_FLOAT_EQ(out.pixels[11], (7 - 3) / 2.0F);
  ASSERT_EQ(out.aux.size(), 3U * 64);
  EXPECT_FLOAT_EQ(out.aux[9], 8);
  EXPECT_EQ(processor.tiling(8, 8).tile_width, 2);
}

Json hybrid_table() {
  return {{"image_processor_type", "DeepseekVLHybridImageProcessor"},
          {"size", {{"height", 24}, {"width", 24}}},
          {"image_mean", {0.5, 0.5, 0.5}},
          {"image_std", {0.5, 0.5, 0.25}},
          {"resample", 2},
          {"high_res_size", {{"height", 80}, {"width", 80}}},
          {"high_res_resample", 1},
          {"min_size", 5}};
}

TEST(DeepseekProcessor, ReadsItsTablesAndWritesThemAgain) {
  const Json json = hybrid_table();
  const ImageProcessor hybrid = ImageProcessor::from_json(JsonView(json, "c"));
  EXPECT_EQ(hybrid.shape, ImageProcessor::Shape::kLongestPad);
  EXPECT_EQ(hybrid.height, 80);
  EXPECT_EQ(hybrid.filter, image::Filter::kLanczos);
  EXPECT_EQ(hybrid.pad_colour, (std::array<uint8_t, 3>{122, 116, 104}));
  EXPECT_EQ(hybrid.longest_side, image::LongestSide::kRound);
  ASSERT_TRUE(hybrid.second.has_value());
  EXPECT_EQ(hybrid.second->side, 24);
  EXPECT_EQ(hybrid.second->filter, image::Filter::kBilinear);
  EXPECT_EQ(hybrid.second->std[2], 0.25F);
  const Json written = hybrid.to_json();
  EXPECT_EQ(ImageProcessor::from_json(JsonView(written, "c")).to_json(), written);

  const Json original = {{"image_processor_type", "VLMImageProcessor"}, {"image_size", 96}, {"do_normalize", false}};
  const ImageProcessor unit = ImageProcessor::from_json(JsonView(original, "c"));
  EXPECT_EQ(unit.mean, (std::array<float, 3>{0, 0, 0}));
  EXPECT_EQ(unit.pad_colour, (std::array<uint8_t, 3>{122, 116, 104}));  // still the mean's
  EXPECT_EQ(unit.min_side, 14);
  EXPECT_EQ(unit.longest_side, image::LongestSide::kTruncate);
  EXPECT_FALSE(unit.second.has_value());
}

TEST(DeepseekProcessor, NamesImpossibleTables) {
  const auto fault = [](const char* key, const Json& value) {
    Json json = hybrid_table();
    json[key] = value;
    return error_of([&] { ImageProcessor::from_json(JsonView(json, "c")); });
  };
  EXPECT_EQ(fault("high_res_size", {{"height", 80}, {"width", 90}}), "c.high_res_size is 90 x 80; DeepSeek-VL pads to a square");
  EXPECT_EQ(fault("do_pad", false), "c.do_pad is false; a tower needs pictures of one size and range");
  EXPECT_EQ(fault("image_std", {0.5, 0.0, 0.5}), "c.image_std holds 0, expected positive numbers");
  EXPECT_NE(fault("resample", 9).find("c.resample is 9; known are"), std::string::npos);
  EXPECT_NE(fault("min_size", 90).find("min_size is 90"), std::string::npos);
}

}  // namespace
}  // namespace ocelli::model
