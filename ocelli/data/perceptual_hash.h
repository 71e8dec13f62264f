#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ocelli/image/image.h"

namespace ocelli::data {

/// 64 bits that change little when a picture is resized, re-encoded or slightly retouched: bit by bit, from the top row and the
/// highest bit on, whether a pixel of the picture made 9 x 8 (grey, Lanczos) is darker than its right neighbour. Equal to dhash()
/// of the Python package ImageHash. None for a picture whose 72 greys lie within four levels: its bits would be noise, and all
/// such pictures would count as one.
std::optional<uint64_t> difference_hash(const image::Image& picture);

/// Bits in which two hashes differ. Unrelated pictures differ in about 32, a JPEG and its re-encoding in a few.
int hash_distance(uint64_t a, uint64_t b);

/// Hashes, looked up by distance without comparing with all of them. Two hashes at most d apart agree up to d / 4 bits in one of
/// their four bands of 16 bits, so the lookup visits the hashes whose band is that near, and misses none.
class HashIndex {
 public:
  /// The largest distance that can be asked for: beyond it most of the index would be visited.
  static constexpr int kMaxDistance = 15;

  struct Match {
    int64_t item = 0;
    int distance = 0;
  };

  /// `item`: what the hash belongs to. Of equal hashes the first stays.
  void add(uint64_t hash, int64_t item);
  /// The nearest hash at most `distance` away; of equally near ones that which was added first. Throws Error when distance is not
  /// 0 to kMaxDistance.
  std::optional<Match> nearest(uint64_t hash, int distance) const;
  int64_t size() const { return static_cast<int64_t>(hashes_.size()); }

 private:
  std::vector<uint64_t> hashes_;  ///< in the order they came
  std::vector<int64_t> items_;
  std::unordered_map<uint64_t, uint32_t> exact_;                                ///< hash → its place in hashes_
  std::array<std::unordered_map<uint16_t, std::vector<uint32_t>>, 4> by_band_;  ///< value of a band → places, rising
};

}  // namespace ocelli::data
