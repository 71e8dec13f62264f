#include "ocelli/image/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ocelli/image/decoders.h"
#include "ocelli/image/test_pictures.h"

namespace ocelli::image {
namespace {

using ::testing::HasSubstr;
using namespace testing;  // NOLINT: ocelli::image::testing

struct Case {
  const char* name;
  int tolerance;  ///< PNG is exact; JPEG and WebP may round differently in another library version
};

class DecodesAsPillow : public ::testing::TestWithParam<Case> {};

TEST_P(DecodesAsPillow, WithPillowOptions) {
  const auto [name, tolerance] = GetParam();
  const Image expected = read_ppm(std::string(name) + ".ppm");
  EXPECT_LE(largest_difference(load(data_path(name), DecodeOptions::pillow()), expected), tolerance);
}

INSTANTIATE_TEST_SUITE_P(Image, DecodesAsPillow,
                         ::testing::Values(Case{"bilevel.png", 0}, Case{"grey4_interlaced.png", 0}, Case{"grey16.png", 0},
                                           Case{"grey_alpha.png", 0}, Case{"palette4_trns.png", 0}, Case{"rgb_interlaced.png", 0},
                                           Case{"rgb16_trns.png", 0}, Case{"rgba_interlaced.png", 0}, Case{"rgba16.png", 0},
                                           Case{"exif6_behind.png", 0}, Case{"rgb.jpg", 1}, Case{"grey_progressive.jpg", 1},
                                           Case{"cmyk.jpg", 1}, Case{"exif8.jpg", 1}, Case{"lossless.webp", 0},
                                           Case{"lossy_alpha.webp", 1}, Case{"animated.webp", 0}, Case{"photo.png", 0}),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(Image, AppliesTheOrientationByDefault) {
  const Image stored = load(data_path("exif6_behind.png"), DecodeOptions::pillow());
  const Image shown = load(data_path("exif6_behind.png"));
  ASSERT_EQ(shown.width, stored.height);
  ASSERT_EQ(shown.height, stored.width);
  // Orientation 6: the stored bottom left corner is the upper left one.
  EXPECT_EQ(std::memcmp(shown.row(0), stored.row(stored.height - 1), 3), 0);

  const Image jpeg = load(data_path("exif8.jpg"), DecodeOptions::pillow()), turned = load(data_path("exif8.jpg"));
  ASSERT_EQ(turned.width, jpeg.height);
  // Orientation 8: the stored upper right corner is the upper left one.
  EXPECT_EQ(std::memcmp(turned.row(0), jpeg.row(0) + (jpeg.width - 1) * 3, 3), 0);
}

TEST(Image, PutsWhiteUnderAlphaByDefault) {
  for (const char* name : {"grey_alpha.png", "rgba_interlaced.png", "animated.webp"}) {
    const Image white = load(data_path(name));
    const Image dropped = load(data_path(name), DecodeOptions::pillow());
    ASSERT_EQ(white.pixels.size(), dropped.pixels.size());
    bool brighter = false;
    for (size_t i = 0; i < white.pixels.size(); ++i) {
      EXPECT_GE(white.pixels[i], dropped.pixels[i]) << name;
      brighter |= white.pixels[i] > dropped.pixels[i];
    }
    EXPECT_TRUE(brighter) << name;
  }
}

TEST(Image, CompositesOverWhiteRoundedToNearest) {
  for (int value = 0; value < 256; ++value) {
    for (int alpha = 0; alpha < 256; ++alpha) {
      const double exact = (value * alpha + 255.0 * (255 - alpha)) / 255.0;
      ASSERT_EQ(detail::over_white(static_cast<uint8_t>(value), static_cast<uint8_t>(alpha)), static_cast<int>(exact + 0.5));
    }
  }
}

TEST(Image, ScalesSixteenBitGreyByDefaultAndClipsItAsPillow) {
  // testdata/grey16.png has values below 256, which saturation keeps and scaling takes to 0 or 1.
  const Image scaled = load(data_path("grey16.png")), clipped = load(data_path("grey16.png"), DecodeOptions::pillow());
  bool low = false;
  for (size_t i = 0; i < scaled.pixels.size(); ++i) {
    if (clipped.pixels[i] == 255) continue;
    low = true;
    EXPECT_EQ(scaled.pixels[i], (clipped.pixels[i] + 128) / 257);
  }
  EXPECT_TRUE(low);
}

TEST(Image, PngRoundTripIsExact) {
  for (const auto& [width, height] : {std::pair{1, 1}, {17, 3}, {1, 300}, {640, 480}}) {
    const Image source = random_image(width, height, 5);
    EXPECT_EQ(largest_difference(decode(encode_png(source), "round trip"), source), 0);
  }
  EXPECT_THROW(encode_png(Image()), Error);
}

TEST(Image, TellsFormatsByContentAndNamesTheOthers) {
  const std::pair<const char*, const char*> cases[] = {
      {"GIF89a\1\1", "is a GIF"},
      {"BM1234", "is a BMP"},
      {"%PDF-1.7", "is a PDF"},
      {"    ftypheic", "is a HEIC"},
      {"    ftypavif", "is an AVIF"},
      {"<?xml version='1.0'?><SVG xmlns=''>", "is an SVG"},
      {"<!DOCTYPE html><html>404", "is an HTML page"},
      {"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"},
      {"hello", "no JPEG, PNG or WebP (it starts with the bytes 68 65 6c 6c 6f)"},
      {"", "is empty (0 bytes)"},
  };
  for (const auto& [bytes, message] : cases) EXPECT_THAT(decode_error(bytes), HasSubstr(message));
  using namespace std::string_literals;
  EXPECT_THAT(decode_error("II*\0\1\2\3\4"s), HasSubstr("is a TIFF"));
}

TEST(Image, ErrorsStartWithTheOrigin) {
  EXPECT_THAT(decode_error("GIF89a"), ::testing::StartsWith("test: "));
  try {
    load(data_path("no such file.png"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no such file.png"));
  }
}

TEST(Image, LimitsFileBytesAndPixels) {
  const std::string png = read_data("photo.png");
  EXPECT_THAT(decode_error(png, {.max_file_bytes = 100}), HasSubstr("more than the limit of 100 (max_file_bytes)"));
  for (const char* name : {"photo.png", "rgb.jpg", "lossless.webp", "animated.webp"}) {
    EXPECT_THAT(decode_error(read_data(name), {.max_pixels = 116}), HasSubstr("more than the limit of 116 (max_pixels)")) << name;
  }
  EXPECT_EQ(decode_error(read_data("rgb.jpg"), {.max_pixels = 117}), "decoded");
}

}  // namespace
}  // namespace ocelli::image
