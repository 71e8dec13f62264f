#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <sstream>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/image/resize_planes.h"
#include "ocelli/image/tile_views.h"
#include "ocelli/image/tiling.h"

// The other half of tests/parity/test_tiling.py: runs what it asks for and writes what came out.
// OCELLI_PROBE: a file with one JSON object a line: {"system", its options, "sizes": [height, width, …]}, for the sizes chosen,
// or with "file" instead of sizes, for the pixels of that picture's views.
// OCELLI_TEST_OUT: a folder; gets results.jsonl, a line for each request: {"results": [a row of numbers or an error's text, …]},
// or {"views": [{"height", "width", "offset"}]}, or {"error"}; and results.bin, with the views' RGB bytes at those offsets, or
// float32 [3, height, width] where the request has a "mean"; these resized to "then" [height, width, …], one size after another,
// by "plane_filter".

namespace ocelli::image {
namespace {

std::vector<int64_t> integers(const JsonView& request, const char* key) {
  std::vector<int64_t> out;
  for (const double value : request.numbers(key)) out.push_back(static_cast<int64_t>(value));
  return out;
}

template <size_t N, typename T>
std::array<T, N> fixed(const JsonView& request, const char* key) {
  const std::vector<double> values = request.numbers(key);
  require(values.size() == N, "tiling probe: {} has {} values, expected {}", key, values.size(), N);
  std::array<T, N> out;
  for (size_t i = 0; i < N; ++i) out[i] = static_cast<T>(values[i]);
  return out;
}

AnyResOptions anyres_options(const JsonView& request) {
  const std::vector<int64_t> flat = integers(request, "pinpoints");
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (size_t i = 0; i + 1 < flat.size(); i += 2) pairs.emplace_back(flat[i], flat[i + 1]);
  const bool width_first = request.boolean("width_first", false);
  return {.canvases = canvases_of(pairs, width_first ? PairOrder::kWidthHeight : PairOrder::kHeightWidth),
          .tile_side = request.integer("tile")};
}

Idefics3Options idefics3_options(const JsonView& request) {
  return {.longest_edge = request.integer("longest_edge"),
          .tile_side = request.integer("tile"),
          .split = request.boolean("split", true)};
}

LongestSide rounding_of(const std::string& name) {
  if (name == "truncate") return LongestSide::kTruncate;
  return name == "round" ? LongestSide::kRound : LongestSide::kHalfUp;
}

Filter filter_of(const JsonView& request) {
  const std::string name = request.string("filter", "bicubic");
  return name == "lanczos" ? Filter::kLanczos : name == "bilinear" ? Filter::kBilinear : Filter::kBicubic;
}

Tiling tiling_of(const JsonView& request, Size picture) {
  const std::string system = request.string("system");
  if (system == "anyres") return anyres(anyres_options(request), picture);
  if (system == "internvl") {
    return internvl_tiles({.min_tiles = request.integer("min"),
                           .max_tiles = request.integer("max"),
                           .tile = {request.integer("tile_height"), request.integer("tile_width")},
                           .thumbnail = request.boolean("thumbnail", true)},
                          picture);
  }
  if (system == "uhd") {
    return uhd_slices({.max_slice_nums = request.integer("max"),
                       .scale_resolution = request.integer("scale_resolution"),
                       .patch_size = request.integer("patch")},
                      picture);
  }
  if (system == "idefics3") return idefics3_tiles(idefics3_options(request), picture);
  if (system == "squash") return {.tile_height = request.integer("side"), .tile_width = request.integer("side")};
  fail("tiling probe: system {} isn't known", system);
}

Size longest_side_of(const JsonView& request, Size picture) {
  return longest_side(picture, request.integer("side"), request.integer("min_side"), rounding_of(request.string("rounding")));
}

/// The numbers chosen for one size.
std::vector<int64_t> row_of(const JsonView& request, Size picture) {
  const std::string system = request.string("system");
  if (system == "smart_resize") {
    const Size out = smart_resize({.factor = request.integer("factor"),
                                   .min_pixels = request.integer("min_pixels"),
                                   .max_pixels = request.integer("max_pixels")},
                                  picture);
    return {out.height, out.width};
  }
  if (system == "longest_side") {
    const Size out = longest_side_of(request, picture);
    return {out.height, out.width};
  }
  const Tiling tiling = tiling_of(request, picture);
  std::vector<int64_t> row{tiling.tiles.rows,     tiling.tiles.columns,  static_cast<int64_t>(tiling.overview),
                           tiling.tile_height,    tiling.tile_width,     tiling.overview_height,
                           tiling.overview_width, tiling.picture_height, tiling.picture_width};
  if (system == "anyres") {
    const Size canvas{tiling.tiles.rows * tiling.tile_height, tiling.tiles.columns * tiling.tile_width};
    const Size resized = anyres_resized(canvas, picture);
    const int64_t side = request.integer("features");
    row.insert(row.end(), {resized.height, resized.width});
    for (const Unpad unpad : {Unpad::kTruncate, Unpad::kRounded}) {
      const Grid kept = unpadded_grid({tiling.tiles.rows * side, tiling.tiles.columns * side}, picture, unpad);
      const Grid limited = anyres_max_grid(kept, 9, side);
      row.insert(row.end(), {kept.rows, kept.columns, limited.rows, limited.columns});
    }
  }
  return row;
}

std::vector<Image> views_of(const JsonView& request, const Image& picture) {
  const std::string system = request.string("system");
  const Size size{picture.height, picture.width};
  if (system == "pad") {
    return {pad_square(picture, request.integer("side"), fixed<3, uint8_t>(request, "colour"), filter_of(request))};
  }
  if (system == "rows_first") {
    return {resize_rows_first(picture, request.integer("side"), request.integer("side"), filter_of(request))};
  }
  if (system == "longest_side" || system == "sam") {
    const int64_t side = request.integer("side");
    const Size fitted = longest_side_of(request, size);
    Image resized = resize(picture, fitted.width, fitted.height, filter_of(request));
    if (system == "sam") return {std::move(resized)};
    return {centred(resized, {side, side}, fixed<3, uint8_t>(request, "colour"))};
  }
  if (system == "anyres") return anyres_views(picture, tiling_of(request, size), filter_of(request));
  if (system == "idefics3") {
    return idefics3_views(picture, idefics3_options(request), tiling_of(request, size), filter_of(request));
  }
  return stretched_views(picture, tiling_of(request, size), filter_of(request));
}

/// Resizes the planes to the sizes of "then".
Size resize_then(const JsonView& request, std::vector<float>& planes, Size size) {
  const std::string name = request.string("plane_filter");
  const PlaneFilter filter = name == "bicubic"    ? PlaneFilter::kBicubic
                             : name == "bilinear" ? PlaneFilter::kBilinear
                                                  : PlaneFilter::kBilinearAntialias;
  const std::vector<int64_t> sizes = integers(request, "then");
  for (size_t i = 0; i + 1 < sizes.size(); i += 2) {
    const Size to{sizes[i], sizes[i + 1]};
    std::vector<float> out(static_cast<size_t>(3 * to.height * to.width));
    resize_planes(planes, size, out, to, filter);
    planes = std::move(out);
    size = to;
  }
  return size;
}

/// Appends the views to `blob`, and says where they lie.
Json write_views(const JsonView& request, std::string& blob) {
  Json views = Json::array();
  for (const Image& view : views_of(request, load(request.string("file"), DecodeOptions::pillow()))) {
    Size size{view.height, view.width};
    const size_t offset = blob.size();
    if (request.has("mean")) {
      const bool sam = request.string("system") == "sam";
      if (sam) size = {request.integer("side"), request.integer("side")};
      std::vector<float> out(static_cast<size_t>(3 * size.height * size.width));
      const auto mean = fixed<3, float>(request, "mean"), std = fixed<3, float>(request, "std");
      if (sam) {
        normalize_centred(view, size, mean, std, request.number("scale"), out);
      } else {
        normalize(view, mean, std, request.number("scale"), out);
      }
      if (request.has("then")) size = resize_then(request, out, size);
      blob.append(reinterpret_cast<const char*>(out.data()), out.size() * sizeof(float));
    } else {
      blob.append(reinterpret_cast<const char*>(view.pixels.data()), view.pixels.size());
    }
    views.push_back({{"height", size.height}, {"width", size.width}, {"offset", offset}});
  }
  return {{"views", views}};
}

Json rows_of(const JsonView& request) {
  Json rows = Json::array();
  const std::vector<int64_t> sizes = integers(request, "sizes");
  for (size_t i = 0; i + 1 < sizes.size(); i += 2) {
    try {
      rows.push_back(row_of(request, {sizes[i], sizes[i + 1]}));
    } catch (const Error& error) {
      rows.push_back(error.what());
    }
  }
  return {{"results", rows}};
}

TEST(TilingProbe, AnswersRequests) {
  const char* requests = std::getenv("OCELLI_PROBE");
  const char* folder = std::getenv("OCELLI_TEST_OUT");
  if (requests == nullptr || folder == nullptr) GTEST_SKIP() << "for tests/parity/test_tiling.py";
  std::istringstream lines(read_file(requests));
  std::string results, blob;
  for (std::string line; std::getline(lines, line);) {
    const Json json = parse_json(line, requests);
    const JsonView request(json, requests);
    Json result;
    try {
      result = request.has("sizes") ? rows_of(request) : write_views(request, blob);
    } catch (const Error& error) {
      result = {{"error", error.what()}};
    }
    results += result.dump() + "\n";
  }
  write_file_atomic(std::filesystem::path(folder) / "results.bin", blob);
  write_file_atomic(std::filesystem::path(folder) / "results.jsonl", results);
}

}  // namespace
}  // namespace ocelli::image
