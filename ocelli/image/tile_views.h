#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ocelli/image/image.h"
#include "ocelli/image/tiling.h"
#include "ocelli/image/transform.h"

namespace ocelli::image {

// The pixels of the views that a Tiling stands for, in its order; each is byte-equal to the reference's. `tiling` must be one
// that the function named made for a picture of this size. Views still want normalize().

/// The picture stretched over the tiles and cut, the overview stretched to its own size: InternVL (internvl_tiles), MiniCPM-V
/// (uhd_slices), and of one tile a plain squash (Qwen-VL, CogVLM, BLIP-2, MiniGPT-v2, smart_resize).
std::vector<Image> stretched_views(const Image& picture, const Tiling& tiling, Filter filter = Filter::kBicubic);

/// LLaVA-NeXT, LLaVA-OneVision (anyres): the overview squashed; for the tiles the picture keeps its aspect and lies in the middle
/// of a black canvas.
std::vector<Image> anyres_views(const Image& picture, const Tiling& tiling, Filter filter = Filter::kBicubic);

/// resize() along the rows first, always, as Pillow before 13 did; resize() itself follows Pillow 13, which begins with the
/// columns of pictures that shrink far more in height. The two differ by a level here and there.
Image resize_rows_first(const Image& source, int64_t width, int64_t height, Filter filter);

/// Idefics3, SmolVLM (idefics3_tiles): resized twice, longest edge first, then over the tiles; the overview is made of the
/// result, not of the picture.
std::vector<Image> idefics3_views(const Image& picture, const Idefics3Options& options, const Tiling& tiling,
                                  Filter filter = Filter::kLanczos);

/// The picture in the middle of a canvas of one colour; of an odd difference the larger half lies right and below.
/// DeepSeek-VL: resize to longest_side(), then this. Throws Error when it doesn't fit.
Image centred(const Image& picture, Size canvas, std::array<uint8_t, 3> colour);

/// centred() on a square of the longer side, then resize() to side x side, byte-equal to both in turn, without ever making the
/// square: LLaVA 1.5, MobileVLM, Yi-VL, Mini-Gemini (the mean's colour, (122, 116, 104) for CLIP), NExT-Chat (white).
/// Throws Error when side times the longer side is more than kMaxViewPixels, as require_paddable() does without a picture.
Image pad_square(const Image& picture, int64_t side, std::array<uint8_t, 3> colour, Filter filter = Filter::kBicubic);

void require_paddable(Size picture, int64_t side);

/// normalize() of the picture in the middle of [3, canvas.height, canvas.width], with zeros, not normalised black, around it:
/// SAM's input in NExT-Chat, of a picture resized (kBilinear) to longest_side(…, LongestSide::kHalfUp), with mean
/// (123.675, 116.28, 103.53), std (58.395, 57.12, 57.375), scale 1. Halves as centred(). `out` has three canvases' elements.
void normalize_centred(const Image& source, Size canvas, std::array<float, 3> mean, std::array<float, 3> std, double scale,
                       std::span<float> out);

}  // namespace ocelli::image
