#include <gtest/gtest.h>

#include "ocelli/base/cpu.h"
#include "ocelli/image/resize_passes.h"
#include "ocelli/image/test_pictures.h"
#include "ocelli/image/transform.h"

namespace ocelli::image {
namespace {

using namespace testing;  // NOLINT: ocelli::image::testing

constexpr std::pair<Filter, const char*> kFilters[] = {{Filter::kNearest, "nearest"},
                                                       {Filter::kBox, "box"},
                                                       {Filter::kBilinear, "bilinear"},
                                                       {Filter::kBicubic, "bicubic"},
                                                       {Filter::kLanczos, "lanczos"}};

TEST(Resize, EqualsPillowByteForByte) {
  const Image photo = load(data_path("photo.png"));
  for (const auto& [filter, name] : kFilters) {
    for (const auto& [width, height] : {std::pair{11, 29}, {64, 7}, {35, 18}, {34, 17}}) {
      const Image expected = read_ppm(fmt::format("photo_{}_{}x{}.ppm", name, width, height));
      EXPECT_EQ(largest_difference(resize(photo, width, height, filter), expected), 0) << name << ' ' << width;
    }
  }
}

TEST(Resize, SameSizeIsACopy) {
  const Image source = random_image(9, 5, 1);
  for (const auto& [filter, name] : kFilters) EXPECT_EQ(largest_difference(resize(source, 9, 5, filter), source), 0) << name;
}

TEST(Resize, KeepsOneColour) {
  Image source(31, 17);
  for (size_t i = 0; i < source.pixels.size(); ++i) source.pixels[i] = static_cast<uint8_t>(100 + i % 3);
  for (const auto& [filter, name] : kFilters) {
    for (const auto& [width, height] : {std::pair{1, 1}, {7, 40}, {90, 3}}) {
      const Image out = resize(source, width, height, filter);
      for (size_t i = 0; i < out.pixels.size(); ++i) ASSERT_EQ(out.pixels[i], 100 + i % 3) << name;
    }
  }
}

TEST(Resize, RefusesEmptySides) {
  const Image source = random_image(4, 4, 1);
  EXPECT_THROW(resize(source, 0, 4, Filter::kBox), Error);
  EXPECT_THROW(resize(source, 4, -1, Filter::kNearest), Error);
  EXPECT_THROW(resize(Image(), 4, 4, Filter::kBox), Error);
}

detail::Taps random_taps(int64_t inputs, int64_t outputs, std::mt19937& random) {
  detail::Taps taps;
  const int64_t most = std::min<int64_t>(inputs, 1 + random() % 23);
  taps.stride = (most + detail::kTapGroup - 1) / detail::kTapGroup * detail::kTapGroup;
  taps.weights.resize(outputs * taps.stride);
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t count = 1 + random() % most;
    taps.count.push_back(count);
    taps.first.push_back(random() % (inputs - count + 1));
    // Any weights whose sums stay in 32 bits, negative ones too.
    for (int64_t k = 0; k < count; ++k) {
      taps.weights[i * taps.stride + k] = (static_cast<int32_t>(random() % (1 << 24)) - (1 << 23)) / static_cast<int32_t>(count);
    }
  }
  return taps;
}

TEST(Resize, Avx2EqualsScalar) {
  const std::vector<Isa> isas = available_isas();
  if (std::find(isas.begin(), isas.end(), Isa::kAvx2) == isas.end()) GTEST_SKIP() << "this machine has no AVX2";
  std::mt19937 random(4);
  for (int round = 0; round < 300; ++round) {
    const int64_t width = 1 + random() % 70, height = 1 + random() % 40, to = 1 + random() % 50;
    const Image source = random_image(width, height, random());
    const detail::Taps across = random_taps(width, to, random), down = random_taps(height, to, random);

    Image scalar(to, height), vector(to, height);
    detail::resize_rows(source, 0, across, scalar);
    detail::resize_rows_avx2(source, 0, across, vector);
    ASSERT_EQ(largest_difference(scalar, vector), 0) << width << " to " << to;

    Image scalar_columns(width, to), vector_columns(width, to);
    detail::resize_columns(source, 0, down, scalar_columns);
    detail::resize_columns_avx2(source, 0, down, vector_columns);
    ASSERT_EQ(largest_difference(scalar_columns, vector_columns), 0) << height << " to " << to;
  }
}

}  // namespace
}  // namespace ocelli::image
