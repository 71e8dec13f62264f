#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ocelli/image/tiling.h"

namespace ocelli::model {

/// How visual tokens find their places among the ids of a prompt.
struct PlaceholderRule {
  enum class Kind {
    kToken,  ///< `token_id`, one a picture, is repeated once a visual token; or stands there as often as there are visual tokens
    kSpan,   ///< the ids strictly between `begin_id` and `end_id`, as many as the visual tokens (Qwen-VL, MiniCPM-V)
    kAfterBos,  ///< `token_id` behind the first id; or where token_type_ids are 1 (CogVLM)
  } kind = Kind::kToken;
  int64_t token_id = -1;               ///< -1: the model sees no pictures
  int64_t begin_id = -1, end_id = -1;  ///< kToken: put around each picture's rows where they don't stand already; -1: nothing
  bool front = false;                  ///< kToken: in a text without any placeholder the pictures stand in front (BLIP-2)
  /// What marks a picture in text when token_id lies outside the vocabulary; empty: "<image>".
  std::string marker;
  bool tile_markers = false;                       ///< kToken: a placeholder is spelled out as tile_markers.h says
  int64_t slice_begin_id = -1, slice_end_id = -1;  ///< kSpan: around the spans of a picture's slices (MiniCPM-V 2); -1: none
  int64_t newline_id = 5;                          ///< between rows of slices, in a folder without tokenizer
  bool bos_twice = false;  ///< a prompt that spells out its BOS token gets the tokenizer's as well (MiniGPT-v2)
};

/// Ids with the rows of visual tokens in place.
struct PlacedIds {
  std::vector<int64_t> ids;     ///< marked as visual_ids.h says
  std::vector<int64_t> source;  ///< the given id each comes from; -1: inserted
};

/// Marks and inserts the rows of visual tokens; counts[i] is picture i's number of them. `token_types`, as long as `ids`
/// or empty, marks rows with 1. Throws Error naming both numbers when places and pictures differ.
PlacedIds place_visual_tokens(const PlaceholderRule& rule, std::span<const int64_t> ids, std::span<const int64_t> counts,
                              std::span<const int64_t> token_types, const std::string& placeholder_name);

/// Which position each row gets.
enum class PositionRule {
  kRising,       ///< 0, 1, 2, …
  kSharedPatch,  ///< the rows of a picture but its first and last share one (CogVLM)
  kMrope,        ///< three rows: time, height, width of the picture's grid (Qwen2-VL)
};

/// Positions of consecutive rows.
struct Positions {
  std::vector<std::array<int64_t, 3>> rows;  ///< time, height, width; all three alike but under kMrope
  int64_t next = 0;                          ///< of the row behind
};

/// `ids` as place_visual_tokens() returns them, starting at position `start`; `grids`: each picture's visual tokens as rows x
/// columns, asked for by kMrope alone.
Positions positions_of(PositionRule rule, std::span<const int64_t> ids, std::span<const image::Grid> grids, int64_t start);

/// The rows a visual expert takes: visual ones followed by another visual one. CogVLM routes the row behind the last patch as
/// text.
std::vector<int64_t> expert_rows(std::span<const int64_t> ids);

}  // namespace ocelli::model
