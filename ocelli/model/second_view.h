#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ocelli/base/json.h"
#include "ocelli/image/tiling.h"
#include "ocelli/image/transform.h"

namespace ocelli::model {

/// How the pixels of two towers come from one picture. "Shaped" is the picture as ImageProcessor::shape leaves it.
struct SecondView {
  enum class Kind {
    /// The tower sees the shaped picture, the second one its numbers shrunk to `side` (bilinear with antialias): DeepSeek-VL's
    /// own code.
    kShrunk,
    /// The second tower sees the shaped picture; the tower sees its bytes shrunk to `side` by `filter`, normalised by `mean` and
    /// `std`:
    /// transformers' DeepseekVLHybridImageProcessor.
    kShrunkBytes,
    /// The second tower sees the shaped picture; the tower its numbers shrunk (bilinear without antialias) to grid x grid tiles
    /// of
    /// `side`, row by row, and with `whole` once more shrunk from there to one tile, which comes last: Mini-Gemini.
    kTiles,
  } kind = Kind::kShrunk;
  int64_t side = 0;  ///< pixels
  int64_t grid = 1;  ///< kTiles
  bool whole = false;
  image::Filter filter = image::Filter::kBicubic;  ///< kShrunkBytes
  std::array<float, 3> mean = {0.5F, 0.5F, 0.5F};
  std::array<float, 3> std = {0.5F, 0.5F, 0.5F};
};

struct ImageProcessor;
struct PixelTiles;

/// How a picture is cut for the tower.
image::Tiling second_view_tiling(const ImageProcessor& processor);
/// Both towers' pixels of a shaped picture, `tiling` being its.
PixelTiles second_view_pixels(const ImageProcessor& processor, const image::Image& shaped, const image::Tiling& tiling);

/// DeepSeek-VL's preprocessor_config.json: `VLMImageProcessor` of its own code, `DeepseekVLImageProcessor` and
/// `DeepseekVLHybridImageProcessor` of transformers, whatever their endings.
bool is_deepseek_processor(std::string_view image_processor_type);
ImageProcessor read_deepseek_processor(const JsonView& config);
Json write_deepseek_processor(const ImageProcessor& processor);

}  // namespace ocelli::model
