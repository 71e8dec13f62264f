#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::text {

/// The ids of words seen lately: most words of a text were just there. Bounded by construction (one word a slot, a new one
/// replaces the old) and safe for many threads: a shard that another thread holds counts as a miss.
class WordCache {
 public:
  /// Appends the ids of `word` when they are known.
  bool find(std::string_view word, std::vector<int64_t>& ids) const;
  void insert(std::string_view word, const int64_t* ids, size_t count) const;

  static constexpr size_t kMaxWordBytes = 64;

 private:
  static constexpr size_t kShards = 32;
  static constexpr size_t kSlots = 1024;
  struct Slot {
    std::string word;
    std::vector<int32_t> ids;
  };
  struct Shard {
    std::mutex mutex;
    std::vector<Slot> slots;  ///< empty until first used
  };
  mutable std::array<Shard, kShards> shards_;
};

}  // namespace ocelli::text
