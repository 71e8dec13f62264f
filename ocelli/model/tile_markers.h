#pragma once

#include <cstdint>
#include <span>

#include "ocelli/image/tiling.h"
#include "ocelli/model/placement.h"
#include "ocelli/text/tokenizer.h"

namespace ocelli::model {

/// The text with which Idefics3 and SmolVLM tell the decoder where each tile of a picture lies: rows of
/// `<fake_token_around_image><row_1_col_1>` and the tile's visual tokens, each row closed by a line's end, then
/// `<fake_token_around_image><global-img>`, the overview's and `<fake_token_around_image>`. A picture of one view is the latter.
/// Source: transformers' Idefics3Processor.replace_image_token.
class TileMarkers {
 public:
  explicit TileMarkers(const text::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  /// `ids` with each `token_id`, one a picture, spelled out; `counts[i]` visual tokens of picture i are spread evenly over its
  /// views and marked as visual_ids.h says. Throws Error when places and pictures differ in number.
  PlacedIds place(std::span<const int64_t> ids, int64_t token_id, std::span<const int64_t> counts,
                  std::span<const image::Tiling> tilings) const;

 private:
  const text::Tokenizer& tokenizer_;
};

}  // namespace ocelli::model
