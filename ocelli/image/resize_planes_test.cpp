#include "ocelli/image/resize_planes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ocelli/base/error.h"

// Equality with torch is tested by tests/parity/test_resize_planes.py.

namespace ocelli::image {
namespace {

std::vector<float> resized(const std::vector<float>& in, Size from, Size to, PlaneFilter filter) {
  std::vector<float> out(in.size() / static_cast<size_t>(from.height * from.width) * static_cast<size_t>(to.height * to.width));
  resize_planes(in, from, out, to, filter);
  return out;
}

TEST(ResizePlanes, OnlyAntialiasSeesEveryPixel) {
  const std::vector<float> row{8, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(resized(row, {1, 8}, {1, 1}, PlaneFilter::kBilinear), std::vector<float>{0});
  EXPECT_EQ(resized(row, {1, 8}, {1, 1}, PlaneFilter::kBicubic), std::vector<float>{0});
  EXPECT_GT(resized(row, {1, 8}, {1, 1}, PlaneFilter::kBilinearAntialias)[0], 0);
}

TEST(ResizePlanes, HalvesByTheMeanOfTwoAndOvershootsByBicubic) {
  EXPECT_EQ(resized({1, 3, 5, 7}, {1, 4}, {1, 2}, PlaneFilter::kBilinear), (std::vector<float>{2, 6}));
  // Keys' weights halfway with a = -0.75: -3/32, 19/32, 19/32, -3/32; the edge repeats.
  EXPECT_EQ(resized({0, 0, 32, 32}, {1, 4}, {1, 2}, PlaneFilter::kBicubic), (std::vector<float>{-3, 35}));
}

TEST(ResizePlanes, PlanesAreApart) {
  EXPECT_EQ(resized({1, 1, 1, 1, 2, 2, 2, 2}, {2, 2}, {1, 3}, PlaneFilter::kBilinear), (std::vector<float>{1, 1, 1, 2, 2, 2}));
}

TEST(ResizePlanes, NamesSizesThatDoNotFit) {
  const auto fault = [](size_t in, Size from, size_t out, Size to) {
    std::vector<float> source(in), target(out);
    try {
      resize_planes(source, from, target, to, PlaneFilter::kBilinear);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(fault(4, {2, 2}, 1, {0, 1}), "resize_planes: 2 x 2 to 1 x 0; sides must be 1 to 67108864");
  EXPECT_EQ(fault(5, {2, 2}, 1, {1, 1}), "resize_planes: 5 values for planes of 2 x 2 to 1 values for 1 x 1");
  EXPECT_EQ(fault(8, {2, 2}, 1, {1, 1}), "resize_planes: 8 values for planes of 2 x 2 to 1 values for 1 x 1");
}

}  // namespace
}  // namespace ocelli::image
