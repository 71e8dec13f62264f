#include "ocelli/text/word_cache.h"

#include "ocelli/text/vocabulary.h"

namespace ocelli::text {

namespace {

bool cacheable(std::string_view word) {
  return !word.empty() && word.size() <= WordCache::kMaxWordBytes;
}

}  // namespace

bool WordCache::find(std::string_view word, std::vector<int64_t>& ids) const {
  if (!cacheable(word)) return false;
  const size_t hash = StringHash{}(word);
  Shard& shard = shards_[hash % kShards];
  const std::unique_lock lock(shard.mutex, std::try_to_lock);
  if (!lock || shard.slots.empty()) return false;
  const Slot& slot = shard.slots[hash / kShards % kSlots];
  if (slot.word != word) return false;
  ids.insert(ids.end(), slot.ids.begin(), slot.ids.end());
  return true;
}

void WordCache::insert(std::string_view word, const int64_t* ids, size_t count) const {
  if (!cacheable(word)) return;
  const size_t hash = StringHash{}(word);
  Shard& shard = shards_[hash % kShards];
  const std::unique_lock lock(shard.mutex, std::try_to_lock);
  if (!lock) return;
  if (shard.slots.empty()) shard.slots.resize(kSlots);
  Slot& slot = shard.slots[hash / kShards % kSlots];
  slot.word = word;
  slot.ids.assign(ids, ids + count);
}

}  // namespace ocelli::text
