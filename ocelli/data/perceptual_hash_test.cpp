#include "ocelli/data/perceptual_hash.h"

#include <gtest/gtest.h>

#include <random>

#include "ocelli/base/test_support.h"
#include "ocelli/image/transform.h"

namespace ocelli::data {
namespace {

image::Image testdata(const std::string& name) {
  return image::load(std::string(OCELLI_SOURCE_DIR) + "/ocelli/image/testdata/" + name);
}

image::Image noise(int64_t width, int64_t height, uint32_t seed) {
  std::mt19937 random(seed);
  image::Image picture(width, height);
  for (uint8_t& value : picture.pixels) value = static_cast<uint8_t>(random());
  return picture;
}

// The values are ImageHash's algorithm run with Pillow 13:
//   grey = Image.open(f).convert("L").resize((9, 8), Image.Resampling.LANCZOS); bits = grey[:, 1:] > grey[:, :-1]
TEST(PerceptualHash, IsThatOfImageHash) {
  EXPECT_EQ(difference_hash(testdata("photo.png")), 0xffffffdffffffffeU);
  EXPECT_EQ(difference_hash(testdata("rgb.jpg")), 0xef7edfeefdfdefffU);
}

TEST(PerceptualHash, StaysNearWhenAPictureIsResized) {
  const image::Image picture = testdata("photo.png");
  const uint64_t hash = difference_hash(picture).value();
  for (const auto [width, height] : {std::pair<int64_t, int64_t>{200, 300}, {31, 17}, {48, 48}}) {
    EXPECT_LT(hash_distance(hash, difference_hash(image::resize(picture, width, height, image::Filter::kBicubic)).value()), 10);
  }
}

TEST(PerceptualHash, SetsUnrelatedPicturesHalfTheBitsApart) {
  double sum = 0;
  int pairs = 0;
  for (uint32_t a = 0; a < 20; ++a) {
    for (uint32_t b = 0; b < a; ++b, ++pairs) {
      sum += hash_distance(difference_hash(noise(9, 8, a)).value(), difference_hash(noise(9, 8, b)).value());
    }
  }
  EXPECT_NEAR(sum / pairs, 32, 3);
}

TEST(PerceptualHash, APlainPictureHasNone) {
  EXPECT_EQ(difference_hash(image::Image(64, 64)), std::nullopt);
  EXPECT_EQ(difference_hash(image::Image(1, 1)), std::nullopt);
}

TEST(HashIndex, FindsWhatComparingWithAllFinds) {
  std::mt19937_64 random(5);
  HashIndex index;
  std::vector<uint64_t> hashes;
  for (int64_t i = 0; i < 3000; ++i) {
    uint64_t hash = random();
    if (i % 2 == 1) {  // near an earlier one
      hash = hashes[random() % hashes.size()];
      for (uint64_t flips = random() % 20; flips > 0; --flips) hash ^= uint64_t{1} << random() % 64;
    }
    for (const int distance : {0, 3, 4, 7, 11, HashIndex::kMaxDistance}) {
      int least = distance + 1;
      for (const uint64_t other : hashes) least = std::min(least, hash_distance(hash, other));
      const auto match = index.nearest(hash, distance);
      ASSERT_EQ(match.has_value(), least <= distance) << "distance " << distance;
      if (!match) continue;
      EXPECT_EQ(match->distance, least);
      const auto first = std::find_if(hashes.begin(), hashes.end(), [&](uint64_t o) { return hash_distance(hash, o) == least; });
      EXPECT_EQ(match->item, first - hashes.begin());
    }
    index.add(hash, i);
    hashes.push_back(hash);
  }
}

TEST(HashIndex, RefusesDistancesItCantProbe) {
  const HashIndex index;
  EXPECT_EQ(test::error_of([&] { index.nearest(0, 16); }), "hash index: distance 16, expected 0 to 15");
}

}  // namespace
}  // namespace ocelli::data
