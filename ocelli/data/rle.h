#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::data {

/// A mask as COCO stores it: lengths of runs down the columns, left to right, of 0 and 1 in turn, the first of 0 (maybe none).
/// Their sum is height * width. All functions give what pycocotools gives, bit for bit.
/// Source: cocodataset/cocoapi common/maskApi.c.
struct Rle {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint32_t> counts;
};

/// Most pixels of a mask: as many as a picture may have.
inline constexpr int64_t kMostMaskPixels = 50'000'000;

/// Runs of a mask of 0 and not 0, column-major: mask[x * height + y].
Rle encode_rle(const std::vector<uint8_t>& mask, int64_t height, int64_t width);
/// The mask of 0 and 1, column-major.
std::vector<uint8_t> decode_rle(const Rle& rle);

/// The compressed counts, characters of six bits each. Throws Error starting with `where`: another character, a cut number, a sum
/// other than height * width, sides out of range.
Rle rle_from_text(std::string_view text, int64_t height, int64_t width, const std::string& where);
std::string rle_to_text(const Rle& rle);

/// The pixels inside a polygon x0, y0, x1, y1, …, at least three points. Throws Error starting with `where` when it has fewer, or
/// a point that is not finite or lies more than a picture's side outside.
Rle rle_from_polygon(const std::vector<double>& points, int64_t height, int64_t width, const std::string& where);

/// Where either is. Both of one size.
Rle unite(const Rle& a, const Rle& b);

/// Pixels set.
int64_t area(const Rle& rle);
/// The box x, y, width, height around them; zeros when there are none.
std::array<double, 4> box_around(const Rle& rle);

/// A COCO annotation's `segmentation` in a picture of height x width: polygons, united, or {"size": [h, w], "counts": list or
/// text}. Throws Error starting with `where`.
Rle rle_from_segmentation(const Json& segmentation, int64_t height, int64_t width, const std::string& where);

}  // namespace ocelli::data
