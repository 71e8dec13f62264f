#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ocelli/data/perceptual_hash.h"
#include "ocelli/data/picture_facts.h"

namespace ocelli::data {

/// Pictures seen so far, to tell whether another is one of them: by its bytes, or nearly by its looks.
class PictureIndex {
 public:
  /// `distance`: bits two perceptual hashes may differ in for near ones, at most HashIndex::kMaxDistance; negative: only equal
  /// bytes count.
  explicit PictureIndex(int distance) : distance_(distance) {}

  struct Match {
    std::string name;  ///< the picture seen before
    bool exact = false;
    int distance = 0;  ///< of the perceptual hashes
  };
  /// The picture with the same bytes (it may be the same file), else the nearest one.
  std::optional<Match> find(const PictureFacts& facts) const;
  /// Of pictures with the same bytes the first stays.
  void add(const PictureFacts& facts);
  int64_t size() const { return static_cast<int64_t>(names_.size()); }

 private:
  int distance_;
  std::vector<std::string> names_;
  std::unordered_map<uint64_t, int64_t> by_bytes_;  ///< hash of the bytes → place in names_
  HashIndex by_looks_;
};

}  // namespace ocelli::data
