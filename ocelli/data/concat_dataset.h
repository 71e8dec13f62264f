#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// Several data sets as one source, one behind the other: each has its part by its size.
class ConcatDataset final : public Dataset {
 public:
  /// Throws Error when `parts` is empty.
  ConcatDataset(std::string name, std::vector<std::shared_ptr<const Dataset>> parts);
  int64_t size() const override { return ends_.back(); }
  Sample get(int64_t index) const override;
  const std::string& name() const override { return name_; }

 private:
  std::string name_;
  std::vector<std::shared_ptr<const Dataset>> parts_;
  std::vector<int64_t> ends_;  ///< samples up to the end of each part
};

}  // namespace ocelli::data
