#include "ocelli/data/preview_pictures.h"

#include <algorithm>
#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/image/transform.h"

namespace ocelli::data {
namespace {

constexpr int64_t kGap = 6;
constexpr std::array<uint8_t, 3> kGapColour = {232, 62, 140};

constexpr auto kColours = std::to_array<BoxColour>({{"red", {230, 25, 75}},
                                                    {"green", {60, 180, 75}},
                                                    {"blue", {0, 130, 200}},
                                                    {"orange", {245, 130, 48}},
                                                    {"purple", {145, 30, 180}},
                                                    {"cyan", {0, 190, 190}}});

/// The view whose planes begin at `planes`.
image::Image view_of(const float* planes, image::Size size, const model::ImageProcessor& images) {
  image::Image out(size.width, size.height);
  const int64_t pixels = size.width * size.height;
  for (int64_t i = 0; i < pixels; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      const float value = planes[static_cast<int64_t>(c) * pixels + i] * images.std[c] + images.mean[c];
      const double level = std::round(static_cast<double>(value) / images.rescale_factor);
      out.pixels[static_cast<size_t>(3 * i) + c] = static_cast<uint8_t>(std::clamp(level, 0.0, 255.0));
    }
  }
  return out;
}

void paste(const image::Image& source, image::Image& target, int64_t left, int64_t top) {
  for (int64_t y = 0; y < source.height; ++y) std::copy_n(source.row(y), 3 * source.width, target.row(top + y) + 3 * left);
}

void fill(image::Image& picture, int64_t left, int64_t top, int64_t right, int64_t bottom, std::array<uint8_t, 3> colour) {
  for (int64_t y = std::max<int64_t>(top, 0); y < std::min(bottom, picture.height); ++y) {
    for (int64_t x = std::max<int64_t>(left, 0); x < std::min(right, picture.width); ++x) {
      std::copy(colour.begin(), colour.end(), picture.row(y) + 3 * x);
    }
  }
}

}  // namespace

SeenViews seen_views(const model::PixelTiles& picture, const model::ImageProcessor& images) {
  const image::Tiling& tiling = picture.tiling;
  const image::Grid grid = tiling.tiles;
  SeenViews out;
  out.tiles = image::Image(grid.columns * tiling.tile_width + (grid.columns - 1) * kGap,
                           grid.rows * tiling.tile_height + (grid.rows - 1) * kGap);
  fill(out.tiles, 0, 0, out.tiles.width, out.tiles.height, kGapColour);
  const int64_t first_tile = tiling.overview == image::Tiling::Overview::kFirst ? 1 : 0;
  size_t done = 0;
  for (int64_t i = 0; i < tiling.count(); ++i) {
    const image::Size size = tiling.view_size(i);
    const auto numbers = static_cast<size_t>(3 * size.height * size.width);
    require(done + numbers <= picture.pixels.size(), "preview: view {} of {} is missing from the picture's pixels", i + 1,
            tiling.count());
    image::Image view = view_of(picture.pixels.data() + done, size, images);
    done += numbers;
    const int64_t tile = i - first_tile;
    if (tile < 0 || tile >= grid.count()) {
      out.overview = std::move(view);
    } else {
      paste(view, out.tiles, tile % grid.columns * (tiling.tile_width + kGap), tile / grid.columns * (tiling.tile_height + kGap));
    }
  }
  return out;
}

image::Image reduced(const image::Image& picture, int64_t longest) {
  const int64_t side = std::max(picture.width, picture.height);
  if (side <= longest) return picture;
  const auto scaled = [&](int64_t length) { return std::max<int64_t>(1, (length * longest + side / 2) / side); };
  return image::resize(picture, scaled(picture.width), scaled(picture.height), image::Filter::kBilinear);
}

std::span<const BoxColour> box_colours() {
  return kColours;
}

void draw_boxes(image::Image& picture, std::span<const Region> regions, int64_t number, double scale) {
  const int64_t thick = std::max<int64_t>(1, std::max(picture.width, picture.height) / 200);
  // Untrusted numbers: brought near the picture before they become whole.
  const auto place = [&](double at, int64_t side) {
    return std::isfinite(at) ? std::llround(std::clamp(at * scale, -10.0, static_cast<double>(side) + 10)) : -10;
  };
  for (size_t i = 0; i < regions.size(); ++i) {
    if (regions[i].picture != number) continue;
    const auto& box = regions[i].box;
    const int64_t left = place(box[0], picture.width), top = place(box[1], picture.height);
    const int64_t right = place(box[2], picture.width), bottom = place(box[3], picture.height);
    const auto colour = kColours[i % kColours.size()].rgb;
    fill(picture, left, top, right, top + thick, colour);
    fill(picture, left, bottom - thick, right, bottom, colour);
    fill(picture, left, top, left + thick, bottom, colour);
    fill(picture, right - thick, top, right, bottom, colour);
  }
}

}  // namespace ocelli::data
