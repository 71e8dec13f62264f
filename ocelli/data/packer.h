#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ocelli::data {

/// What one pack may hold.
struct PackLimits {
  int64_t tokens = 0;
  int64_t pictures = 0;  ///< 0: any number. Bounds the tower's work, which tokens alone don't say
};

/// Size of a sample to be packed.
struct PackItem {
  int64_t tokens = 0;
  int64_t pictures = 0;
};

/// Puts samples into as few packs as two heuristics find: best fit, longest first; and long ones filled up evenly with short
/// ones. A sample longer than a pack has one of its own, as has one with more pictures than allowed. O(n log tokens). A pure
/// function of its arguments: packs, and the samples within them, stand in the order of their (first) indices.
std::vector<std::vector<int64_t>> pack(std::span<const PackItem> items, const PackLimits& limits);

/// Tokens in packs over the room they take.
double fill(std::span<const PackItem> items, const std::vector<std::vector<int64_t>>& packs, int64_t tokens);

}  // namespace ocelli::data
