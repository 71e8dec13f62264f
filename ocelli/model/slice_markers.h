#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ocelli/image/tiling.h"
#include "ocelli/model/placement.h"

namespace ocelli::model {

/// Whether a prompt of `pictures` pictures has as many pairs of the rule's `begin_id` and `end_id`, with nothing between.
bool has_empty_spans(const PlaceholderRule& rule, std::span<const int64_t> ids, size_t pictures);

/// Spells out such pairs: between them go the picture's visual tokens as `token_id`, marked as visual_ids.h says. Under a rule
/// with slices each view has a pair of its own; those of the slices stand between `slice_begin_id` and `slice_end_id`, with
/// `newline` between their rows and nothing between those of one row; counts[i] visual tokens are spread evenly over the views.
/// Source: MiniCPM-V 2's modeling_minicpmv.py, get_slice_image_placeholder and get_grid_placeholder.
PlacedIds fill_empty_spans(const PlaceholderRule& rule, std::span<const int64_t> ids, std::span<const int64_t> counts,
                           std::span<const image::Tiling> tilings, std::span<const int64_t> newline);

}  // namespace ocelli::model
