#include "ocelli/data/rle.h"

#include <gmock/gmock.h>

#include <random>

#include "ocelli/base/test_support.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Rle, RunsGoDownTheColumns) {
  // 2 rows, 3 columns: 0 1 1 / 0 0 1.
  const Rle rle = encode_rle({0, 0, 1, 0, 1, 1}, 2, 3);
  EXPECT_EQ(rle.counts, (std::vector<uint32_t>{2, 1, 1, 2}));
  EXPECT_EQ(decode_rle(rle), (std::vector<uint8_t>{0, 0, 1, 0, 1, 1}));
  EXPECT_EQ(area(rle), 3);
  EXPECT_EQ(box_around(rle), (std::array<double, 4>{1, 0, 2, 2}));
  EXPECT_EQ(encode_rle({1, 1}, 1, 2).counts, (std::vector<uint32_t>{0, 2}));
  EXPECT_EQ(box_around(encode_rle({0, 0}, 1, 2)), (std::array<double, 4>{}));
}

TEST(Rle, TextReturnsTheRuns) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<uint8_t> mask(97 * 61);
    uint8_t value = 0;
    for (uint8_t& pixel : mask) {
      if (random() % (1 + static_cast<unsigned>(round)) == 0) value = 1 - value;
      pixel = value;
    }
    const Rle rle = encode_rle(mask, 97, 61);
    EXPECT_EQ(rle_from_text(rle_to_text(rle), 97, 61, "x").counts, rle.counts);
    EXPECT_EQ(decode_rle(rle), mask);
  }
}

TEST(Rle, UnitesAsPixelsDo) {
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    std::vector<uint8_t> a(60), b(60), both(60);
    for (size_t i = 0; i < a.size(); ++i) {
      a[i] = random() % 3 == 0;
      b[i] = random() % 3 == 0;
      both[i] = a[i] | b[i];
    }
    EXPECT_EQ(unite(encode_rle(a, 6, 10), encode_rle(b, 6, 10)).counts, encode_rle(both, 6, 10).counts);
  }
}

/// testdata/make_rle.py wrote these.
TEST(Rle, EqualsPycocotools) {
  const Json cases = read_json(std::string(OCELLI_SOURCE_DIR) + "/ocelli/data/testdata/rle.json");
  ASSERT_EQ(cases.size(), 80U);
  for (const Json& one : cases) {
    const int64_t height = one["size"][0], width = one["size"][1];
    const Rle rle = rle_from_text(one["counts"].get<std::string>(), height, width, "x");
    EXPECT_EQ(rle_to_text(rle), one["counts"]);
    EXPECT_EQ(area(rle), one["area"]);
    EXPECT_EQ(Json(box_around(rle)), one["box"]);
    const bool drawn = !one["polygons"].empty();
    EXPECT_EQ(drawn ? rle_from_segmentation(one["polygons"], height, width, "x").counts : rle.counts, rle.counts) << one;
    const std::vector<uint8_t> mask = decode_rle(rle);
    EXPECT_EQ(encode_rle(mask, height, width).counts, rle.counts);
    std::string pixels;
    for (size_t i = 0; i < mask.size(); i += 8) {
      unsigned byte = 0;
      for (size_t bit = 0; bit < 8; ++bit) byte = byte * 2 + (i + bit < mask.size() ? mask[i + bit] : 0);
      pixels += fmt::format("{:02x}", byte);
    }
    EXPECT_EQ(pixels, one["pixels"]);
  }
}

TEST(Rle, NamesWhatIsWrong) {
  const auto text = [](std::string_view counts) { return error_of([&] { rle_from_text(counts, 2, 3, "ann 7"); }); };
  EXPECT_THAT(text("0"), AllOf(HasSubstr("ann 7"), HasSubstr("2 x 3 = 6")));
  EXPECT_THAT(text("6 "), HasSubstr("byte 1"));
  EXPECT_THAT(text("P"), HasSubstr("end inside a number"));
  EXPECT_THAT(text("oooooooooo"), HasSubstr("byte 7"));
  EXPECT_THAT(text("@"), HasSubstr("run of -16"));
  EXPECT_THAT(error_of([] { rle_from_text("0", 60'000, 60'000, "x"); }), HasSubstr("60000 x 60000"));
  const auto segmentation = [](const char* json) {
    return error_of([&] { rle_from_segmentation(Json::parse(json), 10, 10, "ann 7"); });
  };
  EXPECT_THAT(segmentation("[]"), HasSubstr("empty list"));
  EXPECT_THAT(segmentation("[[1,2,3,4]]"), HasSubstr("4 numbers"));
  EXPECT_THAT(segmentation("[[1,2,3,4,1e30,2]]"), HasSubstr("far outside"));
  EXPECT_THAT(segmentation(R"({"size": [9, 10], "counts": [90]})"), HasSubstr("10 x 10"));
  EXPECT_THAT(segmentation(R"({"size": [10, 10], "counts": [101]})"), HasSubstr("101"));
  EXPECT_THAT(segmentation(R"({"size": [10, 10], "counts": [99]})"), HasSubstr("99 pixels in all"));
  std::vector<double> zigzag;
  for (int i = 0; i < 2'000; ++i) zigzag.insert(zigzag.end(), {i % 2 == 0 ? 0.0 : 4'000.0, 0.0});
  EXPECT_THAT(error_of([&] { rle_from_polygon(zigzag, 4'000, 4'000, "x"); }), HasSubstr("limit"));
}

}  // namespace
}  // namespace ocelli::data
