#pragma once

#include <span>

#include "ocelli/image/tiling.h"

namespace ocelli::image {

/// torch's `F.interpolate(…, align_corners=False)` on planar floats, for the second view that some systems make of the first
/// one's normalised pixels; resize() is Pillow's, on bytes.
enum class PlaneFilter {
  kBilinear,           ///< two neighbours however far it shrinks: Mini-Gemini's picture for CLIP
  kBilinearAntialias,  ///< support grows with the down-scale: DeepSeek-VL's low-resolution picture (of pixels in [0, 1])
  kBicubic,            ///< a = -0.75, four neighbours however far it shrinks: TextMonkey's global view
};

/// Resizes each of the planes [from.height, from.width] of `in` to [to.height, to.width]. Equal to torch within a few float32
/// roundings. `in` and `out` hold the same number of planes. Throws Error for a side below 1 and where they don't.
void resize_planes(std::span<const float> in, Size from, std::span<float> out, Size to, PlaneFilter filter);

}  // namespace ocelli::image
