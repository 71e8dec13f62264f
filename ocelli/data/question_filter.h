#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// The independent questions of some types; records that hold none are left out. Reads every record once when made.
class QuestionFilter final : public Dataset {
 public:
  /// Throws Error when no question is of these types, naming those there are.
  QuestionFilter(std::shared_ptr<const Dataset> data, std::vector<std::string> types);
  int64_t size() const override { return static_cast<int64_t>(kept_.size()); }
  Sample get(int64_t index) const override;
  const std::string& name() const override { return data_->name(); }

 private:
  std::shared_ptr<const Dataset> data_;
  std::vector<std::string> types_;
  std::vector<int64_t> kept_;  ///< indices into `data_`
};

}  // namespace ocelli::data
