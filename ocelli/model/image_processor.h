#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/image/image.h"
#include "ocelli/image/tiling.h"
#include "ocelli/image/transform.h"
#include "ocelli/model/second_view.h"

namespace ocelli::model {

/// CLIP's mean and deviation of each channel.
inline constexpr std::array<float, 3> kClipMean = {0.48145466F, 0.4578275F, 0.40821073F};
inline constexpr std::array<float, 3> kClipStd = {0.26862954F, 0.26130258F, 0.27577711F};

/// Tiles of one picture, ready for the tower.
struct PixelTiles {
  image::Tiling tiling;
  std::vector<float> pixels;  ///< view after view, each [3, height, width] of its size, normalised
  std::vector<float> aux;     ///< [3, aux_height, aux_width] for a second tower; empty without
  int64_t aux_height = 0, aux_width = 0;
};

/// A model's preprocessing table, read from `preprocessor_config.json` or the `image_processor` of `processor_config.json`.
/// Torch-free: loader threads use it.
struct ImageProcessor {
  enum class Shape {
    kShortestEdge,  ///< shortest side to `size`, then a centre crop (CLIP)
    kSquash,        ///< both sides to the crop size, aspect not kept (SigLIP)
    kPad,           ///< on a square of `pad_colour`, then to the crop size (LLaVA 1.5's own code)
    kLongestPad,    ///< longest side to `size`, both at least `min_side`, then on a square of `pad_colour` (DeepSeek-VL)
  } shape = Shape::kSquash;
  /// How pictures become several views of `height` x `width`; kNone: one, by `shape`.
  enum class Cut { kNone, kAnyRes, kInternVl, kUhd, kIdefics3, kSmart } cut = Cut::kNone;
  image::AnyResOptions anyres;      ///< LLaVA-NeXT
  image::InternVlOptions internvl;  ///< InternVL 1.5
  image::UhdOptions uhd;            ///< MiniCPM-V 2
  image::Idefics3Options idefics3;  ///< Idefics3, SmolVLM
  image::SmartResizeOptions smart;  ///< Qwen2-VL: one view of the picture's own aspect
  int64_t smart_patch = 14;         ///< pixels of a patch, of which smart.factor / smart_patch a side become one token
  int64_t size = 224;               ///< shortest edge
  int64_t height = 224;             ///< of what the tower sees
  int64_t width = 224;
  image::Filter filter = image::Filter::kBicubic;
  bool rows_first = false;  ///< resize_rows_first(): for systems whose own code, with an older Pillow, is the reference
  double rescale_factor = 1.0 / 255.0;
  std::array<float, 3> mean = {0.5F, 0.5F, 0.5F};
  std::array<float, 3> std = {0.5F, 0.5F, 0.5F};
  /// Not given: the mean as a colour, cut to whole numbers.
  std::optional<std::array<uint8_t, 3>> pad_colour;
  int64_t min_side = 14;
  image::LongestSide longest_side = image::LongestSide::kTruncate;
  image::DecodeOptions decode;
  std::shared_ptr<const ImageProcessor> aux;  ///< a second tower's table; null without
  /// How each picture is prepared when a prompt has more than one (LLaVA-OneVision); null: the same way.
  std::shared_ptr<const ImageProcessor> several;
  std::optional<SecondView> second;  ///< or both towers' pixels are made of one; with Cut::kNone

  /// The table for each of that many pictures of one prompt.
  const ImageProcessor& of_prompt(size_t pictures) const { return pictures > 1 && several ? *several : *this; }

  static ImageProcessor from_json(const JsonView& config);
  Json to_json() const;

  /// Pixels of one picture. Thread-safe. Throws Error for a picture whose resized form would be too large.
  PixelTiles process(const image::Image& picture) const;
  /// How a picture of that size is cut; without its pixels. Throws Error for a size that process() refuses.
  image::Tiling tiling(int64_t picture_width, int64_t picture_height) const;

 private:
  /// Throws Error for a size that shaped() refuses.
  void require_shapeable(image::Size picture) const;
  /// The one view of a picture that isn't cut.
  image::Image shaped(const image::Image& picture) const;
};

/// `image_grid_pinpoints`. Throws Error naming `path` when it is no list of pairs.
std::vector<image::Size> canvases_from(const Json& pinpoints, const std::string& path, image::PairOrder order);

}  // namespace ocelli::model
