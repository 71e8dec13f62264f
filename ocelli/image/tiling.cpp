#include "ocelli/image/tiling.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <limits>

#include "ocelli/base/error.h"

// Expressions follow the references' Python operation by operation: where a product or quotient is rounded decides sizes.
// Integers are at most kMaxSide squared = 2^52, so their way into double is exact.

namespace ocelli::image {
namespace {

constexpr int64_t kMaxTiles = 1024;

double real(int64_t value) {
  return static_cast<double>(value);
}

/// Python's int().
int64_t truncate(double value) {
  return static_cast<int64_t>(value);
}

/// Python's round(x): half to even, the processor's default mode.
int64_t round_even(double value) {
  return static_cast<int64_t>(std::nearbyint(value));
}

int64_t ceiling(double value) {
  return static_cast<int64_t>(std::ceil(value));
}

int64_t ceil_to(int64_t value, int64_t multiple) {
  return ceiling(real(value) / real(multiple)) * multiple;
}

/// Python's round(x, 7): the exact decimal value, half to even.
double round_seven(double value) {
  char text[400];
  const char* end = std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed, 7).ptr;
  double rounded = 0;
  std::from_chars(text, end, rounded);
  return rounded;
}

/// Python's x // y of positive floats: exact remainder first, so never one too many.
double floor_divide(double x, double y) {
  const double quotient = (x - std::fmod(x, y)) / y;
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

void check_side(const char* who, const char* what, int64_t value) {
  require(value >= 1 && value <= kMaxSide, "{}: {} is {}, expected 1 to {}", who, what, value, kMaxSide);
}

void check_picture(const char* who, Size picture) {
  require(picture.height >= 1 && picture.height <= kMaxSide && picture.width >= 1 && picture.width <= kMaxSide,
          "{}: a picture of {} x {} pixels; each side must be 1 to {}", who, picture.width, picture.height, kMaxSide);
}

/// `tiling` of that picture; counted in double, which no size on the way here overflows.
Tiling checked(const char* who, Tiling tiling, Size picture) {
  tiling.picture_height = picture.height;
  tiling.picture_width = picture.width;
  const double pixels = real(tiling.tiles.count()) * real(tiling.tile_height) * real(tiling.tile_width) +
                        real(tiling.overview_height) * real(tiling.overview_width);
  require(pixels <= real(kMaxViewPixels), "{}: a picture of {} x {} pixels becomes views of {:.0f} pixels; at most {} are made",
          who, picture.width, picture.height, pixels, kMaxViewPixels);
  return tiling;
}

/// MiniCPM-V's ensure_divide.
int64_t nearest_multiple(int64_t length, int64_t of) {
  return std::max(round_even(real(length) / real(of)) * of, of);
}

/// MiniCPM-V's find_best_resize. Width and height may be fractions (of a cell).
Size uhd_resize(double width, double height, const UhdOptions& options, bool upscale) {
  const int64_t scale = options.scale_resolution;
  int64_t new_width = 0, new_height = 0;
  if (width * height > real(scale * scale) || upscale) {
    const double ratio = width / height;
    new_height = truncate(real(scale) / std::sqrt(ratio));
    new_width = truncate(real(new_height) * ratio);
    return {nearest_multiple(new_height, options.patch_size), nearest_multiple(new_width, options.patch_size)};
  }
  // The picture itself: never a cell, so both are integers.
  return {nearest_multiple(truncate(height), options.patch_size), nearest_multiple(truncate(width), options.patch_size)};
}

/// Idefics3's resize_for_vision_encoder.
Size whole_tiles(Size size, int64_t side) {
  const double aspect = real(size.width) / real(size.height);
  if (size.width >= size.height) {
    const int64_t width = ceil_to(size.width, side);
    return {ceil_to(truncate(real(width) / aspect), side), width};
  }
  const int64_t height = ceil_to(size.height, side);
  return {height, ceil_to(truncate(real(height) * aspect), side)};
}

}  // namespace

Size Tiling::view_size(int64_t i) const {
  assert(i >= 0 && i < count());
  const bool is_overview = (overview == Overview::kFirst && i == 0) || (overview == Overview::kLast && i == tiles.count());
  return is_overview ? Size{overview_height, overview_width} : Size{tile_height, tile_width};
}

std::vector<Size> canvases_of(std::span<const std::pair<int64_t, int64_t>> pinpoints, PairOrder order) {
  std::vector<Size> canvases;
  for (const auto& [first, second] : pinpoints) {
    canvases.push_back(order == PairOrder::kWidthHeight ? Size{second, first} : Size{first, second});
  }
  return canvases;
}

Tiling anyres(const AnyResOptions& options, Size picture) {
  check_picture("anyres", picture);
  check_side("anyres", "tile_side", options.tile_side);
  require(!options.canvases.empty(), "anyres: no canvas to choose from; image_grid_pinpoints must not be empty");
  Size best;
  int64_t most_used = 0, least_wasted = std::numeric_limits<int64_t>::max();
  for (const Size& canvas : options.canvases) {
    check_side("anyres", "a canvas's height", canvas.height);
    check_side("anyres", "a canvas's width", canvas.width);
    require(canvas.height % options.tile_side == 0 && canvas.width % options.tile_side == 0,
            "anyres: canvas {} x {} is no multiple of the tile's side {}", canvas.width, canvas.height, options.tile_side);
    const double scale = std::min(real(canvas.width) / real(picture.width), real(canvas.height) / real(picture.height));
    const int64_t kept = truncate(real(picture.width) * scale) * truncate(real(picture.height) * scale);
    const int64_t used = std::min(kept, picture.width * picture.height);
    const int64_t wasted = canvas.width * canvas.height - used;
    if (used > most_used || (used == most_used && wasted < least_wasted)) {
      most_used = used;
      least_wasted = wasted;
      best = canvas;
    }
  }
  return checked("anyres",
                 {.tiles = {best.height / options.tile_side, best.width / options.tile_side},
                  .overview = Tiling::Overview::kFirst,
                  .tile_height = options.tile_side,
                  .tile_width = options.tile_side,
                  .overview_height = options.tile_side,
                  .overview_width = options.tile_side},
                 picture);
}

Size anyres_resized(Size canvas, Size picture) {
  const double scale_width = real(canvas.width) / real(picture.width);
  const double scale_height = real(canvas.height) / real(picture.height);
  if (scale_width < scale_height) {
    return {std::min(ceiling(real(picture.height) * scale_width), canvas.height), canvas.width};
  }
  return {canvas.height, std::min(ceiling(real(picture.width) * scale_height), canvas.width)};
}

Grid unpadded_grid(Grid features, Size picture, Unpad unpad) {
  check_picture("unpadded_grid", picture);
  check_side("unpadded_grid", "the number of rows", features.rows);
  check_side("unpadded_grid", "the number of columns", features.columns);
  const auto kept = [unpad](int64_t now, int64_t original, double scale) {
    const double exact = real(original) * scale;
    const int64_t side = truncate(unpad == Unpad::kRounded ? round_seven(exact) : exact);
    return now - 2 * ((now - side) / 2);
  };
  const double aspect = real(picture.width) / real(picture.height);
  if (aspect > real(features.columns) / real(features.rows)) {
    return {kept(features.rows, picture.height, real(features.columns) / real(picture.width)), features.columns};
  }
  return {features.rows, kept(features.columns, picture.width, real(features.rows) / real(picture.height))};
}

Grid anyres_max_grid(Grid unpadded, int64_t max_tiles, int64_t tile_rows) {
  require(max_tiles >= 1 && max_tiles <= kMaxTiles, "anyres_max_grid: max_tiles is {}, expected 1 to {}", max_tiles, kMaxTiles);
  require(tile_rows >= 1 && tile_rows <= 1 << 20, "anyres_max_grid: tile_rows is {}, expected 1 to {}", tile_rows, 1 << 20);
  const double ratio = std::sqrt(real(unpadded.rows * unpadded.columns) / real(max_tiles * tile_rows * tile_rows));
  if (!(ratio > 1.1)) return unpadded;
  return {truncate(floor_divide(real(unpadded.rows), ratio)), truncate(floor_divide(real(unpadded.columns), ratio))};
}

Tiling internvl_tiles(const InternVlOptions& options, Size picture) {
  check_picture("internvl_tiles", picture);
  check_side("internvl_tiles", "the tile's height", options.tile.height);
  check_side("internvl_tiles", "the tile's width", options.tile.width);
  require(options.min_tiles >= 1 && options.min_tiles <= options.max_tiles && options.max_tiles <= kMaxTiles,
          "internvl_tiles: {} to {} tiles; expected 1 <= min <= max <= {}", options.min_tiles, options.max_tiles, kMaxTiles);
  const double aspect = real(picture.width) / real(picture.height);
  const double area = real(picture.width) * real(picture.height);
  const double tile_area = 0.5 * real(options.tile.height) * real(options.tile.width);
  double least = std::numeric_limits<double>::infinity();
  Grid best{1, 1};
  // By area, then by columns, as transformers; InternVL's own order within one area is that of a Python set. With min_tiles 1
  // it never matters: between two grids r x c and R x C of one area (c < C, R < r) lies c / R, which is nearer than both when
  // they are equally near, and has less area.
  for (int64_t count = options.min_tiles; count <= options.max_tiles; ++count) {
    for (int64_t columns = 1; columns <= count; ++columns) {
      if (count % columns != 0) continue;
      const Grid grid{count / columns, columns};
      const double difference = std::abs(aspect - real(grid.columns) / real(grid.rows));
      if (difference < least) {
        least = difference;
        best = grid;
      } else if (difference == least && area > tile_area * real(count)) {
        best = grid;
      }
    }
  }
  Tiling tiling{.tiles = best, .tile_height = options.tile.height, .tile_width = options.tile.width};
  if (options.thumbnail && best.count() > 1) {
    tiling.overview = Tiling::Overview::kLast;
    tiling.overview_height = options.tile.height;
    tiling.overview_width = options.tile.width;
  }
  return checked("internvl_tiles", tiling, picture);
}

Tiling uhd_slices(const UhdOptions& options, Size picture) {
  check_picture("uhd_slices", picture);
  check_side("uhd_slices", "scale_resolution", options.scale_resolution);
  check_side("uhd_slices", "patch_size", options.patch_size);
  require(options.max_slice_nums >= 1 && options.max_slice_nums <= kMaxTiles,
          "uhd_slices: max_slice_nums is {}, expected 1 to {}", options.max_slice_nums, kMaxTiles);
  const double width = real(picture.width), height = real(picture.height);
  const double slices = width * height / real(options.scale_resolution * options.scale_resolution);
  const int64_t multiple = std::min(ceiling(slices), options.max_slice_nums);
  if (multiple <= 1) {
    const Size whole = uhd_resize(width, height, options, true);
    return checked("uhd_slices", {.tile_height = whole.height, .tile_width = whole.width}, picture);
  }
  const double log_ratio = std::log(width / height);
  double least = std::numeric_limits<double>::infinity();
  Grid best{1, 1};
  for (int64_t count = multiple - 1; count <= multiple + 1; ++count) {
    if (count == 1 || count > options.max_slice_nums) continue;
    for (int64_t columns = 1; columns <= count; ++columns) {
      if (count % columns != 0) continue;
      const double error = std::abs(log_ratio - std::log(real(columns) / real(count / columns)));
      if (error < least) {
        least = error;
        best = {count / columns, columns};
      }
    }
  }
  const Size overview = uhd_resize(width, height, options, false);
  const Size cell = uhd_resize(real(nearest_multiple(picture.width, best.columns)) / real(best.columns),
                               real(nearest_multiple(picture.height, best.rows)) / real(best.rows), options, true);
  return checked("uhd_slices",
                 {.tiles = best,
                  .overview = Tiling::Overview::kFirst,
                  .tile_height = cell.height,
                  .tile_width = cell.width,
                  .overview_height = overview.height,
                  .overview_width = overview.width},
                 picture);
}

Size idefics3_resized(const Idefics3Options& options, Size picture) {
  constexpr int64_t kMaxImageSize = 4096;
  check_picture("idefics3_tiles", picture);
  check_side("idefics3_tiles", "longest_edge", options.longest_edge);
  int64_t height = picture.height, width = picture.width;
  double aspect = real(width) / real(height);
  if (width >= height) {
    width = options.longest_edge;
    height = truncate(real(width) / aspect);
    height += height % 2;
  } else {
    height = options.longest_edge;
    width = truncate(real(height) * aspect);
    width += width % 2;
  }
  height = std::max<int64_t>(height, 1);
  width = std::max<int64_t>(width, 1);
  aspect = real(width) / real(height);
  if (width >= height && width > kMaxImageSize) {
    width = kMaxImageSize;
    height = truncate(real(width) / aspect);
  } else if (height > width && height > kMaxImageSize) {
    height = kMaxImageSize;
    width = truncate(real(height) * aspect);
  }
  return {std::max<int64_t>(height, 1), std::max<int64_t>(width, 1)};
}

Tiling idefics3_tiles(const Idefics3Options& options, Size picture) {
  check_side("idefics3_tiles", "tile_side", options.tile_side);
  const Size resized = idefics3_resized(options, picture);
  Tiling tiling{.tile_height = options.tile_side, .tile_width = options.tile_side};
  if (options.split) {
    const Size whole = whole_tiles(resized, options.tile_side);
    tiling.tiles = {whole.height / options.tile_side, whole.width / options.tile_side};
    if (tiling.tiles.count() > 1) {
      tiling.overview = Tiling::Overview::kLast;
      tiling.overview_height = options.tile_side;
      tiling.overview_width = options.tile_side;
    }
  }
  return checked("idefics3_tiles", tiling, picture);
}

Size smart_resize(const SmartResizeOptions& options, Size picture) {
  check_picture("smart_resize", picture);
  check_side("smart_resize", "factor", options.factor);
  require(options.min_pixels >= 1 && options.min_pixels <= options.max_pixels && options.max_pixels <= kMaxViewPixels,
          "smart_resize: {} to {} pixels; expected 1 <= min_pixels <= max_pixels <= {}", options.min_pixels, options.max_pixels,
          kMaxViewPixels);
  const double height = real(picture.height), width = real(picture.width), factor = real(options.factor);
  require(std::max(height, width) / std::min(height, width) <= 200,
          "smart_resize: a picture of {} x {} pixels; one side must not be more than 200 times the other", picture.width,
          picture.height);
  Size out{round_even(height / factor) * options.factor, round_even(width / factor) * options.factor};
  if (out.height * out.width > options.max_pixels) {
    const double beta = std::sqrt(height * width / real(options.max_pixels));
    const auto down = [&](double side) { return std::max(options.factor, truncate(side / beta / factor) * options.factor); };
    out = {down(height), down(width)};
  } else if (out.height * out.width < options.min_pixels) {
    const double beta = std::sqrt(real(options.min_pixels) / (height * width));
    const auto up = [&](double side) { return ceiling(side * beta / factor) * options.factor; };
    out = {up(height), up(width)};
  }
  require(out.height <= kMaxViewPixels / out.width,
          "smart_resize: a picture of {} x {} pixels becomes {} x {}; at most {} pixels are made", picture.width, picture.height,
          out.width, out.height, kMaxViewPixels);
  return out;
}

Size longest_side(Size picture, int64_t side, int64_t min_side, LongestSide rounding) {
  check_picture("longest_side", picture);
  check_side("longest_side", "side", side);
  require(min_side >= 0 && min_side <= side, "longest_side: min_side is {}, expected 0 to {}", min_side, side);
  const double longest = real(std::max(picture.height, picture.width));
  const double scale = real(side) / longest;
  const auto scaled = [&](int64_t length) {
    int64_t out = 0;
    switch (rounding) {
      case LongestSide::kTruncate:
        out = truncate(real(length) / longest * real(side));
        break;
      case LongestSide::kRound:
        out = round_even(real(length) * scale);
        break;
      case LongestSide::kHalfUp:
        out = truncate(real(length) * scale + 0.5);
        break;
    }
    return std::max(out, min_side);
  };
  const Size out{scaled(picture.height), scaled(picture.width)};
  require(out.height > 0 && out.width > 0,
          "longest_side: a picture of {} x {} pixels becomes {} x {}; each side must be at least 1", picture.width,
          picture.height, out.width, out.height);
  require(side <= kMaxViewPixels / side, "longest_side: side is {}; {} squared is more than {} pixels", side, side,
          kMaxViewPixels);
  return out;
}

}  // namespace ocelli::image
