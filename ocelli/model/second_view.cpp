#include "ocelli/model/second_view.h"

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/image/resize_planes.h"
#include "ocelli/model/image_processor.h"

namespace ocelli::model {
namespace {

std::vector<float> normalised(const image::Image& picture, std::array<float, 3> mean, std::array<float, 3> std, double scale) {
  std::vector<float> out(static_cast<size_t>(3 * picture.width * picture.height));
  image::normalize(picture, mean, std, scale, out);
  return out;
}

std::vector<float> shrunk(const std::vector<float>& planes, image::Size from, int64_t side, image::PlaneFilter filter) {
  std::vector<float> out(static_cast<size_t>(3 * side * side));
  image::resize_planes(planes, from, out, {side, side}, filter);
  return out;
}

/// Rows and columns [tile row * side, …) of planes of grid * side.
void append_tile(const std::vector<float>& planes, int64_t grid, int64_t side, int64_t row, int64_t column,
                 std::vector<float>& out) {
  const int64_t width = grid * side;
  for (int64_t line = 0; line < 3 * side; ++line) {
    const int64_t plane = line / side, y = row * side + line % side;
    const auto begin = planes.begin() + (plane * width + y) * width + column * side;
    out.insert(out.end(), begin, begin + side);
  }
}

}  // namespace

image::Tiling second_view_tiling(const ImageProcessor& processor) {
  const SecondView& second = *processor.second;
  image::Tiling out;
  const bool shaped = second.kind == SecondView::Kind::kShrunk;
  out.tile_height = shaped ? processor.height : second.side;
  out.tile_width = shaped ? processor.width : second.side;
  if (second.kind != SecondView::Kind::kTiles) return out;
  out.tiles = {second.grid, second.grid};
  if (second.grid > 1 && second.whole) {
    out.overview = image::Tiling::Overview::kLast;
    out.overview_height = out.overview_width = second.side;
  }
  return out;
}

PixelTiles second_view_pixels(const ImageProcessor& processor, const image::Image& shaped, const image::Tiling& tiling) {
  const SecondView& second = *processor.second;
  const image::Size size{shaped.height, shaped.width};
  PixelTiles out;
  out.tiling = tiling;
  std::vector<float> numbers = normalised(shaped, processor.mean, processor.std, processor.rescale_factor);
  out.aux_height = size.height;
  out.aux_width = size.width;
  switch (second.kind) {
    case SecondView::Kind::kShrunk:
      out.aux = shrunk(numbers, size, second.side, image::PlaneFilter::kBilinearAntialias);
      out.aux_height = out.aux_width = second.side;
      out.pixels = std::move(numbers);
      return out;
    case SecondView::Kind::kShrunkBytes:
      out.pixels = normalised(image::resize(shaped, second.side, second.side, second.filter), second.mean, second.std,
                              processor.rescale_factor);
      break;
    case SecondView::Kind::kTiles: {
      const int64_t grid = second.grid, side = second.side;
      const std::vector<float> reduced = shrunk(numbers, size, grid * side, image::PlaneFilter::kBilinear);
      for (int64_t row = 0; row < grid; ++row) {
        for (int64_t column = 0; column < grid; ++column) append_tile(reduced, grid, side, row, column, out.pixels);
      }
      if (out.tiling.overview == image::Tiling::Overview::kNone) break;
      const std::vector<float> whole = shrunk(reduced, {grid * side, grid * side}, side, image::PlaneFilter::kBilinear);
      out.pixels.insert(out.pixels.end(), whole.begin(), whole.end());
      break;
    }
  }
  out.aux = std::move(numbers);
  return out;
}

}  // namespace ocelli::model
