#include "ocelli/data/concat_dataset.h"

#include <algorithm>

#include "ocelli/base/error.h"

namespace ocelli::data {

ConcatDataset::ConcatDataset(std::string name, std::vector<std::shared_ptr<const Dataset>> parts)
    : name_(std::move(name)), parts_(std::move(parts)) {
  require(!parts_.empty(), "data {}: it has no file", name_);
  int64_t end = 0;
  for (const auto& part : parts_) ends_.push_back(end += part->size());
}

Sample ConcatDataset::get(int64_t index) const {
  const auto part = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
  require(index >= 0 && part < parts_.size(), "data {}: sample {} of {}", name_, index, size());
  return parts_[part]->get(index - (part == 0 ? 0 : ends_[part - 1]));
}

}  // namespace ocelli::data
