#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ocelli/image/image.h"

namespace ocelli::image {

/// Pixels of a picture or view.
struct Size {
  int64_t height = 0;
  int64_t width = 0;
  friend bool operator==(const Size&, const Size&) = default;
};

/// How one picture is cut for the vision tower: `tiles` views of one size, row by row, and perhaps an overview, the whole
/// picture once more (InternVL calls it thumbnail, MiniCPM-V source image, LLaVA base). A picture that isn't cut is one tile
/// without overview.
struct Tiling {
  enum class Overview {
    kNone,
    kFirst,  ///< before the tiles: LLaVA-NeXT, LLaVA-OneVision, MiniCPM-V
    kLast,   ///< behind them: InternVL, Idefics3
  };

  Grid tiles{1, 1};
  Overview overview = Overview::kNone;
  int64_t tile_height = 0;
  int64_t tile_width = 0;
  int64_t overview_height = 0;  ///< 0 without overview
  int64_t overview_width = 0;
  int64_t picture_height = 0;  ///< of the source picture, to take padding off the features again; 0: not known
  int64_t picture_width = 0;

  /// Views: tiles and overview.
  int64_t count() const { return tiles.count() + (overview == Overview::kNone ? 0 : 1); }
  /// Pixels of view i, 0 <= i < count(), in the order in which the tower gets them.
  Size view_size(int64_t i) const;
  friend bool operator==(const Tiling&, const Tiling&) = default;
};

/// Sides of pictures and tables that the functions below take: up to this, so that areas are exact in double and int64.
inline constexpr int64_t kMaxSide = 1 << 26;
/// All views of one picture together, and each picture made on the way to them, have at most this many pixels (three bytes
/// each). What would be larger is an Error, before anything is allocated.
inline constexpr int64_t kMaxViewPixels = 1 << 27;

// The functions below choose sizes as the references' Python does, in the same floating-point operations: equal for every
// size. All throw Error when a side of the picture is not 1 to kMaxSide, or when an option is out of its range.

/// LLaVA-NeXT's AnyRes: the canvas that keeps most of the picture's pixels, of those the one that wastes least, is cut into
/// square tiles behind an overview of one tile's size.
/// Source: LLaVA's llava/mm_utils.py, select_best_resolution.
struct AnyResOptions {
  std::vector<Size> canvases;  ///< candidates, multiples of tile_side; of equals the first wins
  int64_t tile_side = 336;
};
/// `image_grid_pinpoints` as canvases. LLaVA's own code reads the pairs as (width, height), `transformers` as (height, width):
/// with the published, symmetric sets this decides ties, which all pictures of at most one tile are.
enum class PairOrder { kWidthHeight, kHeightWidth };
std::vector<Size> canvases_of(std::span<const std::pair<int64_t, int64_t>> pinpoints, PairOrder order);
Tiling anyres(const AnyResOptions& options, Size picture);
/// The picture within the canvas before padding: one side exact, the other rounded up.
Size anyres_resized(Size canvas, Size picture);

/// Features kept of a canvas of `features` (rows x columns over all tiles) for a picture of that size, i.e. without the padding
/// at both sides: first row (canvas.rows - kept.rows) / 2, columns likewise. Pictures far longer than wide can keep none.
enum class Unpad {
  kTruncate,  ///< LLaVA's own code: int(x)
  kRounded,   ///< transformers: int(round(x, 7)), now and then one row or column more
};
Grid unpadded_grid(Grid features, Size picture, Unpad unpad);
/// LLaVA-OneVision's `anyres_max_N`: an unpadded grid more than 1.1 times as long a side as N tiles of `tile_rows` squared
/// features is resized (bilinear, `align_corners` false) to the grid returned; others are returned as they are.
Grid anyres_max_grid(Grid unpadded, int64_t max_tiles, int64_t tile_rows);

/// InternVL's dynamic_preprocess: the grid of min_tiles to max_tiles tiles whose aspect is nearest to the picture's; the picture
/// is stretched over it. More than one tile: the overview goes last. Of grids equally near the later, larger one wins when the
/// picture has more than half its pixels.
/// Source: InternVL's internvl/train/dataset.py; transformers' GotOcr2ImageProcessor.
struct InternVlOptions {
  int64_t min_tiles = 1;
  int64_t max_tiles = 12;  ///< at most 1024
  Size tile{448, 448};
  bool thumbnail = true;
};
Tiling internvl_tiles(const InternVlOptions& options, Size picture);

/// LLaVA-UHD's slices as MiniCPM-V 2 cuts them: an overview of about scale_resolution squared pixels first, then 2 to
/// max_slice_nums slices of about as many. A picture of no more pixels than one slice is one tile without overview.
/// All sides are multiples of patch_size.
/// Source: MiniCPM-V's slice_image (finetune/dataset.py); LLaVA-UHD's later copy rounds another way.
struct UhdOptions {
  int64_t max_slice_nums = 9;  ///< at most 1024
  int64_t scale_resolution = 448;
  int64_t patch_size = 14;
};
Tiling uhd_slices(const UhdOptions& options, Size picture);

/// Idefics3 and SmolVLM: the longest edge to `longest_edge`, both sides up to multiples of tile_side, square tiles, and the
/// overview last. What fits into one tile, or split = false, is one tile without overview.
/// Source: transformers' Idefics3ImageProcessor.
struct Idefics3Options {
  int64_t longest_edge = 4 * 364;
  int64_t tile_side = 364;  ///< `max_image_size.longest_edge`
  bool split = true;        ///< `do_image_splitting`
};
Tiling idefics3_tiles(const Idefics3Options& options, Size picture);
/// The first of the two resizes: longest edge exact but at most 4096, the other side even.
Size idefics3_resized(const Idefics3Options& options, Size picture);

/// Qwen2-VL: both sides to multiples of `factor` with min_pixels to max_pixels in all, the aspect nearly kept.
/// Throws Error when one side is more than 200 times the other.
/// Source: transformers' qwen2_vl smart_resize.
struct SmartResizeOptions {
  int64_t factor = 28;  ///< patch_size * merge_size
  int64_t min_pixels = 56 * 56;
  int64_t max_pixels = 14 * 14 * 4 * 1280;
};
Size smart_resize(const SmartResizeOptions& options, Size picture);

/// The longest side to `side`, the other in proportion, both at least min_side.
enum class LongestSide {
  kTruncate,  ///< int(height / longest * side): DeepSeek-VL's own code
  kRound,     ///< round(height * (side / longest)), half to even: DeepSeek-VL in transformers
  kHalfUp,    ///< int(height * (side / longest) + 0.5): SAM's ResizeLongestSide
};
/// Throws Error when a side would be 0 (min_side 0 and a very long picture).
Size longest_side(Size picture, int64_t side, int64_t min_side, LongestSide rounding);

}  // namespace ocelli::image
