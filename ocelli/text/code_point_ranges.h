#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace ocelli::text {

/// Code points first to last.
struct Range {
  char32_t first, last;
};

/// Whether c lies in one of the ranges, which rise and don't overlap.
template <size_t N>
bool inside(const Range (&ranges)[N], char32_t c) {
  const auto* range = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                       [](char32_t value, const Range& candidate) { return value < candidate.first; });
  return range != std::begin(ranges) && c <= std::prev(range)->last;
}

}  // namespace ocelli::text
