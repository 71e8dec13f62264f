#include "ocelli/image/exif.h"

#include <gtest/gtest.h>

#include <string>

#include "ocelli/image/test_pictures.h"

namespace ocelli::image {
namespace {

using namespace std::string_literals;

int orientation_of(const std::string& block) {
  return exif_orientation({reinterpret_cast<const uint8_t*>(block.data()), block.size()});
}

// One directory entry: tag, type, count, value.
const std::string kLittle = "II*\0\x08\0\0\0\1\0\x12\x01\3\0\1\0\0\0\6\0\0\0\0\0\0\0"s;
const std::string kBig = "MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"s;

TEST(Exif, ReadsBothByteOrdersWithAndWithoutPrefix) {
  EXPECT_EQ(orientation_of(kLittle), 6);
  EXPECT_EQ(orientation_of(kBig), 6);
  EXPECT_EQ(orientation_of("Exif\0\0"s + kBig), 6);
}

TEST(Exif, BrokenBlocksMeanAsStored) {
  for (size_t size = 0; size < 22; ++size) EXPECT_EQ(orientation_of(kLittle.substr(0, size)), 1) << size;
  std::string changed = kLittle;
  changed[18] = 9;  // no such orientation
  EXPECT_EQ(orientation_of(changed), 1);
  changed = kLittle;
  changed[12] = 2;  // text
  EXPECT_EQ(orientation_of(changed), 1);
  changed = kLittle;
  changed[4] = changed[5] = changed[6] = changed[7] = '\xff';  // directory at 4 GiB
  EXPECT_EQ(orientation_of(changed), 1);
  changed = kLittle;
  changed[8] = changed[9] = '\xff';  // 65535 entries, none of them ours
  changed[10] = 0;
  EXPECT_EQ(orientation_of(changed), 1);
}

TEST(Exif, TurnsAndMirrors) {
  // a b c
  // d e f, each letter a pixel
  const auto make = [](const std::string& letters, int64_t width) {
    Image image(width, static_cast<int64_t>(letters.size()) / width);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(letters[i / 3] + i % 3);
    return image;
  };
  const char* shown[] = {"abcdef", "cbafed", "fedcba", "defabc", "adbecf", "daebfc", "fcebda", "cfbead"};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image turned = apply_orientation(make("abcdef", 3), orientation);
    EXPECT_EQ(testing::largest_difference(turned, make(shown[orientation - 1], orientation < 5 ? 3 : 2)), 0) << orientation;
  }
}

TEST(Exif, TurningLargePicturesAndBackChangesNothing) {
  const Image source = testing::random_image(131, 67, 3);
  EXPECT_EQ(testing::largest_difference(apply_orientation(apply_orientation(source, 6), 8), source), 0);
  EXPECT_EQ(testing::largest_difference(apply_orientation(apply_orientation(source, 7), 7), source), 0);
}

}  // namespace
}  // namespace ocelli::image
