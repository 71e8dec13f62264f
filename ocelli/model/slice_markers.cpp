#include "ocelli/model/slice_markers.h"

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::model {

bool has_empty_spans(const PlaceholderRule& rule, std::span<const int64_t> ids, size_t pictures) {
  size_t spans = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != rule.begin_id) continue;
    if (i + 1 == ids.size() || ids[i + 1] != rule.end_id) return false;
    ++spans;
  }
  return spans > 0 && spans == pictures;
}

PlacedIds fill_empty_spans(const PlaceholderRule& rule, std::span<const int64_t> ids, std::span<const int64_t> counts,
                           std::span<const image::Tiling> tilings, std::span<const int64_t> newline) {
  const bool sliced = rule.slice_begin_id >= 0;
  require(!sliced || tilings.size() == counts.size(),
          "the text has slices of {} pictures, but it is known of {} how they are cut", counts.size(), tilings.size());
  PlacedIds out;
  size_t picture = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto add = [&](int64_t id) {
      out.ids.push_back(id);
      out.source.push_back(static_cast<int64_t>(i));
    };
    if (ids[i] != rule.begin_id) {
      add(ids[i]);
      continue;
    }
    const int64_t views = sliced ? tilings[picture].count() : 1;
    require(views > 0 && counts[picture] % views == 0, "picture {} has {} visual tokens for {} views", picture, counts[picture],
            views);
    const auto add_view = [&] {
      add(rule.begin_id);
      for (int64_t k = 0; k < counts[picture] / views; ++k) add(visual_id(rule.token_id));
      add(rule.end_id);
    };
    add_view();
    if (views > 1) {
      const image::Grid tiles = tilings[picture].tiles;
      add(rule.slice_begin_id);
      for (int64_t row = 0; row < tiles.rows; ++row) {
        if (row > 0) std::for_each(newline.begin(), newline.end(), add);
        for (int64_t column = 0; column < tiles.columns; ++column) add_view();
      }
      add(rule.slice_end_id);
    }
    ++picture;
    ++i;  // the pair's end is written
  }
  return out;
}

}  // namespace ocelli::model
