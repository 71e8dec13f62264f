#include "ocelli/image/tile_views.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "ocelli/base/error.h"

namespace ocelli::image {
namespace {

/// `whole` cut into the tiles, row by row, behind or before the overview.
std::vector<Image> cut(Image whole, const Tiling& tiling, Image overview) {
  std::vector<Image> views;
  views.reserve(static_cast<size_t>(tiling.count()));
  if (tiling.overview == Tiling::Overview::kFirst) views.push_back(std::move(overview));
  if (tiling.tiles.count() == 1) {
    views.push_back(std::move(whole));
  } else {
    for (int64_t row = 0; row < tiling.tiles.rows; ++row) {
      for (int64_t column = 0; column < tiling.tiles.columns; ++column) {
        views.push_back(crop(whole, column * tiling.tile_width, row * tiling.tile_height, tiling.tile_width, tiling.tile_height));
      }
    }
  }
  if (tiling.overview == Tiling::Overview::kLast) views.push_back(std::move(overview));
  return views;
}

Size canvas_of(const Tiling& tiling) {
  return {tiling.tiles.rows * tiling.tile_height, tiling.tiles.columns * tiling.tile_width};
}

Image overview_of(const Image& picture, const Tiling& tiling, Filter filter) {
  if (tiling.overview == Tiling::Overview::kNone) return {};
  return resize(picture, tiling.overview_width, tiling.overview_height, filter);
}

}  // namespace

std::vector<Image> stretched_views(const Image& picture, const Tiling& tiling, Filter filter) {
  const Size canvas = canvas_of(tiling);
  return cut(resize(picture, canvas.width, canvas.height, filter), tiling, overview_of(picture, tiling, filter));
}

std::vector<Image> anyres_views(const Image& picture, const Tiling& tiling, Filter filter) {
  const Size canvas = canvas_of(tiling);
  const Size resized = anyres_resized(canvas, {picture.height, picture.width});
  return cut(centred(resize(picture, resized.width, resized.height, filter), canvas, {}), tiling,
             overview_of(picture, tiling, filter));
}

Image resize_rows_first(const Image& source, int64_t width, int64_t height, Filter filter) {
  return resize(resize(source, width, source.height, filter), width, height, filter);
}

std::vector<Image> idefics3_views(const Image& picture, const Idefics3Options& options, const Tiling& tiling, Filter filter) {
  const Size canvas = canvas_of(tiling), first = idefics3_resized(options, {picture.height, picture.width});
  Image whole = resize(resize(picture, first.width, first.height, filter), canvas.width, canvas.height, filter);
  Image overview = overview_of(whole, tiling, filter);
  return cut(std::move(whole), tiling, std::move(overview));
}

Image centred(const Image& picture, Size canvas, std::array<uint8_t, 3> colour) {
  require(picture.height <= canvas.height && picture.width <= canvas.width,
          "centred: {} x {} pixels don't fit a canvas of {} x {}", picture.width, picture.height, canvas.width, canvas.height);
  return pad(picture, canvas.width, canvas.height, (canvas.width - picture.width) / 2, (canvas.height - picture.height) / 2,
             colour);
}

void require_paddable(Size picture, int64_t side) {
  const int64_t longest = std::max(picture.width, picture.height);
  require(side >= 1 && longest >= 1 && side <= kMaxViewPixels / longest,
          "pad_square: a picture of {} x {} pixels to a square of {}; sides must be at least 1, {} times {} at most {}",
          picture.width, picture.height, side, longest, side, kMaxViewPixels);
}

Image pad_square(const Image& picture, int64_t side, std::array<uint8_t, 3> colour, Filter filter) {
  require_paddable({picture.height, picture.width}, side);
  const int64_t longest = std::max(picture.width, picture.height);
  if (picture.width == picture.height) return resize(picture, side, side, filter);
  // Between squares resize() goes along the rows first, each for itself, then down the columns. So rows without the picture are
  // all one row, and the others need to be padded a few at a time only.
  constexpr int64_t kStrip = 64;
  const int64_t left = (longest - picture.width) / 2, top = (longest - picture.height) / 2;
  const Image blank = resize(pad({}, longest, 1, 0, 0, colour), side, 1, filter);
  Image narrow(side, longest);
  const size_t row_bytes = static_cast<size_t>(side) * 3;
  for (int64_t y = 0; y < longest; ++y) {
    if (y < top || y >= top + picture.height) std::memcpy(narrow.row(y), blank.row(0), row_bytes);
  }
  for (int64_t y = 0; y < picture.height; y += kStrip) {
    const int64_t rows = std::min(kStrip, picture.height - y);
    const Image strip = pad(crop(picture, 0, y, picture.width, rows), longest, rows, left, 0, colour);
    std::memcpy(narrow.row(top + y), resize(strip, side, rows, filter).row(0), row_bytes * static_cast<size_t>(rows));
  }
  return resize(narrow, side, side, filter);
}

void normalize_centred(const Image& source, Size canvas, std::array<float, 3> mean, std::array<float, 3> std, double scale,
                       std::span<float> out) {
  require(source.height <= canvas.height && source.width <= canvas.width,
          "normalize_centred: {} x {} pixels don't fit a canvas of {} x {}", source.width, source.height, canvas.width,
          canvas.height);
  assert(out.size() == 3 * static_cast<size_t>(canvas.height) * static_cast<size_t>(canvas.width));
  std::vector<float> inner(source.pixels.size());
  normalize(source, mean, std, scale, inner);
  std::fill(out.begin(), out.end(), 0.0F);
  const int64_t left = (canvas.width - source.width) / 2, top = (canvas.height - source.height) / 2;
  for (int64_t channel = 0; channel < 3; ++channel) {
    for (int64_t y = 0; y < source.height; ++y) {
      std::copy_n(inner.data() + (channel * source.height + y) * source.width, source.width,
                  out.data() + (channel * canvas.height + top + y) * canvas.width + left);
    }
  }
}

}  // namespace ocelli::image
