#include "ocelli/model/placement.h"

#include <algorithm>
#include <numeric>

#include "ocelli/base/error.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::model {
namespace {

/// Every id where it is.
PlacedIds as_given(std::span<const int64_t> ids) {
  PlacedIds out{{ids.begin(), ids.end()}, std::vector<int64_t>(ids.size())};
  std::iota(out.source.begin(), out.source.end(), int64_t{0});
  return out;
}

/// The rows of all pictures in front of id `place`.
PlacedIds inserted_at(size_t place, const PlaceholderRule& rule, std::span<const int64_t> ids, std::span<const int64_t> counts) {
  PlacedIds out = as_given(ids);
  const size_t total = static_cast<size_t>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  out.ids.insert(out.ids.begin() + static_cast<std::ptrdiff_t>(place), total, visual_id(rule.token_id));
  out.source.insert(out.source.begin() + static_cast<std::ptrdiff_t>(place), total, -1);
  return out;
}

PlacedIds at_tokens(const PlaceholderRule& rule, std::span<const int64_t> ids, std::span<const int64_t> counts,
                    const std::string& name) {
  const int64_t places = rule.token_id == -1 ? 0 : std::count(ids.begin(), ids.end(), rule.token_id);
  const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  if (places == 0 && rule.front) return inserted_at(0, rule, ids, counts);
  // Already one a visual token, as some processors write them.
  const bool filled = places == total && places != static_cast<int64_t>(counts.size());
  PlacedIds out;
  size_t picture = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool placeholder = ids[i] == rule.token_id && places > 0;
    const int64_t times = !placeholder || filled ? 1 : picture < counts.size() ? counts[picture] : 0;
    if (placeholder) ++picture;
    const bool whole = placeholder && !filled && rule.begin_id >= 0;
    if (whole && (i == 0 || ids[i - 1] != rule.begin_id)) {
      out.ids.push_back(rule.begin_id);
      out.source.push_back(-1);
    }
    out.ids.insert(out.ids.end(), static_cast<size_t>(times), placeholder ? visual_id(ids[i]) : ids[i]);
    out.source.insert(out.source.end(), static_cast<size_t>(times), static_cast<int64_t>(i));
    if (whole && (i + 1 == ids.size() || ids[i + 1] != rule.end_id)) {
      out.ids.push_back(rule.end_id);
      out.source.push_back(-1);
    }
  }
  require(filled || picture == counts.size(), "the text has {} {} placeholders, but {} pictures were given", picture, name,
          counts.size());
  return out;
}

PlacedIds at_spans(const PlaceholderRule& rule, std::span<const int64_t> ids, std::span<const int64_t> counts) {
  PlacedIds placed = as_given(ids);
  std::vector<int64_t>& out = placed.ids;
  int64_t marked = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] != rule.begin_id) continue;
    size_t end = i + 1;
    while (end < out.size() && out[end] != rule.end_id) ++end;
    require(end < out.size(), "the id {} that opens a picture at position {} is never closed by {}", rule.begin_id, i,
            rule.end_id);
    for (size_t k = i + 1; k < end; ++k) out[k] = visual_id(out[k]);
    marked += static_cast<int64_t>(end - i) - 1;
    i = end;
  }
  const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  require(marked == total, "the text has {} places for visual tokens, but {} pictures give {}", marked, counts.size(), total);
  return placed;
}

}  // namespace

PlacedIds place_visual_tokens(const PlaceholderRule& rule, std::span<const int64_t> ids, std::span<const int64_t> counts,
                              std::span<const int64_t> token_types, const std::string& placeholder_name) {
  if (!token_types.empty()) {
    require(token_types.size() == ids.size(), "{} token_type_ids do not go with {} input_ids", token_types.size(), ids.size());
    PlacedIds placed = as_given(ids);
    std::vector<int64_t>& out = placed.ids;
    int64_t marked = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      if (token_types[i] != 1) continue;
      out[i] = visual_id(out[i]);
      ++marked;
    }
    const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    require(marked == total, "token_type_ids mark {} rows, but {} pictures give {} visual tokens", marked, counts.size(), total);
    return placed;
  }
  switch (rule.kind) {
    case PlaceholderRule::Kind::kToken:
      return at_tokens(rule, ids, counts, placeholder_name);
    case PlaceholderRule::Kind::kSpan:
      return at_spans(rule, ids, counts);
    case PlaceholderRule::Kind::kAfterBos:
      return inserted_at(ids.empty() ? 0 : 1, rule, ids, counts);
  }
  fail("placeholder rule: unknown kind");
}

Positions positions_of(PositionRule rule, std::span<const int64_t> ids, std::span<const image::Grid> grids, int64_t start) {
  Positions out;
  out.rows.reserve(ids.size());
  int64_t position = start;
  size_t picture = 0;
  for (size_t i = 0; i < ids.size();) {
    if (rule == PositionRule::kRising || !is_visual(ids[i])) {
      out.rows.push_back({position, position, position});
      ++position;
      ++i;
      continue;
    }
    if (rule == PositionRule::kSharedPatch) {
      size_t end = i;
      while (end < ids.size() && is_visual(ids[end])) ++end;
      const size_t count = end - i;
      for (size_t k = 0; k < count; ++k) {
        const int64_t at_row = position + (k == 0 ? 0 : k + 1 == count && count > 2 ? 2 : 1);
        out.rows.push_back({at_row, at_row, at_row});
      }
      position += count > 2 ? 3 : static_cast<int64_t>(count);
      i = end;
      continue;
    }
    require(picture < grids.size(), "positions: more runs of visual tokens than the {} pictures", grids.size());
    const image::Grid grid = grids[picture++];
    require(i + static_cast<size_t>(grid.count()) <= ids.size(), "positions: a picture of {} x {} visual tokens is cut off",
            grid.rows, grid.columns);
    for (int64_t row = 0; row < grid.rows; ++row) {
      for (int64_t column = 0; column < grid.columns; ++column) out.rows.push_back({position, position + row, position + column});
    }
    position += std::max(grid.rows, grid.columns);
    i += static_cast<size_t>(grid.count());
  }
  out.next = position;
  return out;
}

std::vector<int64_t> expert_rows(std::span<const int64_t> ids) {
  std::vector<int64_t> rows;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    if (is_visual(ids[i]) && is_visual(ids[i + 1])) rows.push_back(static_cast<int64_t>(i));
  }
  return rows;
}

}  // namespace ocelli::model
