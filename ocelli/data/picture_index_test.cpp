#include "ocelli/data/picture_index.h"

#include <gmock/gmock.h>

#include <cmath>

#include "ocelli/base/test_support.h"
#include "ocelli/image/transform.h"

namespace ocelli::data {
namespace {

using ocelli::test::TemporaryFolder;
using ::testing::HasSubstr;

/// A smooth picture of its own for each seed.
image::Image waves(int64_t width, int64_t height, int seed) {
  image::Image out(width, height);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const double u = static_cast<double>(x) / static_cast<double>(width),
                     v = static_cast<double>(y) / static_cast<double>(height);
        const double value = std::sin(u * (7 + 3 * seed) + c) + std::cos(v * (5 + 4 * seed) - u * seed);
        out.row(y)[3 * x + c] = static_cast<uint8_t>(127 + 60 * value);
      }
    }
  }
  return out;
}

Picture png(const image::Image& picture, const std::string& name) {
  const auto bytes = image::encode_png(picture);
  return {std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), name, "shard.tar, " + name};
}

TEST(PictureFacts, TellsWhatAPictureIs) {
  const TemporaryFolder folder;
  const PictureFacts good = look_at(png(waves(40, 20, 1), "a.jpg"));
  EXPECT_EQ(good.state, PictureFacts::State::kGood);
  EXPECT_EQ(good.kind, "PNG");
  EXPECT_TRUE(good.wrong_suffix());
  EXPECT_EQ(good.width, 40);
  EXPECT_DOUBLE_EQ(good.aspect(), 2);
  EXPECT_TRUE(good.hash.has_value());

  const PictureFacts missing = look_at(folder / "b.png");
  EXPECT_EQ(missing.state, PictureFacts::State::kMissing);
  EXPECT_THAT(missing.fault, HasSubstr("b.png"));

  const std::string whole = *png(waves(40, 20, 1), "c.png").bytes;
  test::spill(folder / "c.png", whole.substr(0, whole.size() / 2));
  const PictureFacts cut = look_at(folder / "c.png");
  EXPECT_EQ(cut.state, PictureFacts::State::kBroken);
  EXPECT_THAT(cut.fault, HasSubstr("truncated"));

  test::spill(folder / "d.gif", "GIF89a, or so");
  const PictureFacts gif = look_at(folder / "d.gif");
  EXPECT_EQ(gif.state, PictureFacts::State::kBroken);
  EXPECT_FALSE(gif.wrong_suffix());

  const PictureFacts large = look_at(png(waves(40, 20, 1), "e.png"), {.max_pixels = 100});
  EXPECT_EQ(large.state, PictureFacts::State::kBroken);
  EXPECT_THAT(large.fault, HasSubstr("max_pixels"));
}

TEST(PictureIndex, TellsEqualFromNear) {
  PictureIndex index(8);
  index.add(look_at(png(waves(64, 64, 1), "a.png")));
  index.add(look_at(png(waves(64, 64, 2), "b.png")));
  const auto exact = index.find(look_at(png(waves(64, 64, 2), "again.png")));
  ASSERT_TRUE(exact);
  EXPECT_TRUE(exact->exact);
  EXPECT_EQ(exact->name, "shard.tar, b.png");
  const auto near = index.find(look_at(png(image::resize(waves(64, 64, 1), 100, 50, image::Filter::kBicubic), "c.png")));
  ASSERT_TRUE(near);
  EXPECT_FALSE(near->exact);
  EXPECT_EQ(near->name, "shard.tar, a.png");
  EXPECT_FALSE(index.find(look_at(png(waves(64, 64, 3), "d.png"))));
  EXPECT_FALSE(index.find(PictureFacts{}));
}

TEST(PictureIndex, ComparesBytesAloneWhenAsked) {
  PictureIndex index(-1);
  index.add(look_at(png(waves(64, 64, 1), "a.png")));
  EXPECT_FALSE(index.find(look_at(png(image::resize(waves(64, 64, 1), 100, 50, image::Filter::kBicubic), "c.png"))));
  EXPECT_TRUE(index.find(look_at(png(waves(64, 64, 1), "d.png"))));
}

}  // namespace
}  // namespace ocelli::data
