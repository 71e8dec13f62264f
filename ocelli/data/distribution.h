#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::data {

/// How often each whole number was seen: lengths, sides, counts.
class Distribution {
 public:
  void add(int64_t value) {
    ++counts_[value];
    ++count_;
    sum_ += static_cast<double>(value);
  }
  int64_t count() const { return count_; }
  double sum() const { return sum_; }
  double sum_of_squares() const;
  double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
  /// The least value that at least this share of the values doesn't exceed: 0 the smallest, 0.5 the median, 1 the largest. 0
  /// when there is none.
  int64_t quantile(double share) const;
  /// How many values are above `value`.
  int64_t above(int64_t value) const;

  struct Bucket {
    std::string label;  ///< "0-31", "32-63", "64-": whole numbers, both ends belong to it
    int64_t count = 0;
  };
  /// Counts between `edges`, which rise: below the first, from each to below the next, from the last on. Empty buckets at both
  /// ends are left out.
  std::vector<Bucket> buckets(std::span<const int64_t> edges) const;
  /// {"count", "mean", "min", "median", "p95", "max", "histogram": {label: count}}; null when nothing was added.
  OrderedJson to_json(std::span<const int64_t> edges) const;

 private:
  std::map<int64_t, int64_t> counts_;
  int64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace ocelli::data
