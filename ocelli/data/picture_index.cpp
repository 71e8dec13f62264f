#include "ocelli/data/picture_index.h"

namespace ocelli::data {

std::optional<PictureIndex::Match> PictureIndex::find(const PictureFacts& facts) const {
  if (facts.bytes_hash == 0) return std::nullopt;
  if (const auto same = by_bytes_.find(facts.bytes_hash); same != by_bytes_.end()) {
    return Match{names_[static_cast<size_t>(same->second)], true, 0};
  }
  if (distance_ < 0 || !facts.hash) return std::nullopt;
  const auto near = by_looks_.nearest(*facts.hash, distance_);
  if (!near) return std::nullopt;
  return Match{names_[static_cast<size_t>(near->item)], false, near->distance};
}

void PictureIndex::add(const PictureFacts& facts) {
  if (facts.bytes_hash == 0) return;
  const auto place = static_cast<int64_t>(names_.size());
  if (!by_bytes_.emplace(facts.bytes_hash, place).second) return;
  names_.push_back(facts.name);
  if (distance_ >= 0 && facts.hash) by_looks_.add(*facts.hash, place);
}

}  // namespace ocelli::data
