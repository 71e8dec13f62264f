#pragma once

#include <array>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/image/image.h"
#include "ocelli/image/tiling.h"
#include "ocelli/image/transform.h"

namespace ocelli::model {

/// Tiles of one picture, ready for the tower.
struct PixelTiles {
  image::Tiling tiling;
  std::vector<float> pixels;  ///< [tiling.count(), 3, tile_height, tile_width], normalised
};

/// A model's preprocessing table, read from `preprocessor_config.json` or the `image_processor` of `processor_config.json`.
/// Torch-free: loader threads use it.
struct ImageProcessor {
  enum class Shape {
    kShortestEdge,  ///< shortest side to `size`, then a centre crop (CLIP)
    kSquash,        ///< both sides to the crop size, aspect not kept (SigLIP)
    kPad,           ///< on a square of the mean colour, then to the crop size (LLaVA 1.5's own code)
  } shape = Shape::kSquash;
  int64_t size = 224;    ///< shortest edge
  int64_t height = 224;  ///< of what the tower sees
  int64_t width = 224;
  image::Filter filter = image::Filter::kBicubic;
  float rescale_factor = 1.0F / 255.0F;
  std::array<float, 3> mean = {0.5F, 0.5F, 0.5F};
  std::array<float, 3> std = {0.5F, 0.5F, 0.5F};
  image::DecodeOptions decode;

  static ImageProcessor from_json(const JsonView& config);
  Json to_json() const;

  /// Pixels of one picture. Thread-safe. Throws Error for a picture whose resized form would be too large.
  PixelTiles process(const image::Image& picture) const;
  /// How a picture of that size is cut; without its pixels.
  image::Tiling tiling(int64_t picture_width, int64_t picture_height) const;
};

}  // namespace ocelli::model
