#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// Where a draw of a mixture comes from.
struct Draw {
  int64_t source = 0;
  int64_t index = 0;  ///< within the source
  int64_t epoch = 0;  ///< how often the source has been gone through
};

/// Sources mixed by weight. One epoch draws weight x size samples of each source (1: each once, 0.5: every other). The order is a
/// pure function of (seed, position): within windows of draws every source has its exact share, shuffled; each source goes
/// through its own permutation, a new one each time round.
class Mixture {
 public:
  struct Source {
    std::shared_ptr<const Dataset> data;
    double weight = 1.0;
  };
  /// Throws Error on no source, or a weight that is not positive and finite.
  Mixture(std::vector<Source> sources, uint64_t seed);

  const std::vector<Source>& sources() const { return sources_; }
  /// Draws of one epoch, at least 1.
  int64_t epoch_size() const { return epoch_size_; }
  /// The draw at `position` >= 0. Thread-safe.
  Draw at(int64_t position) const;
  /// Draws of each source before `position`: what was asked for and what was given can be compared at any time. Thread-safe.
  std::vector<int64_t> drawn(int64_t position) const;

 private:
  struct Window;
  std::shared_ptr<const Window> window(int64_t number) const;
  std::shared_ptr<const std::vector<int64_t>> permutation(int64_t source, int64_t epoch) const;

  std::vector<Source> sources_;
  std::vector<double> share_;  ///< of the draws, adds up to 1
  uint64_t seed_;
  int64_t epoch_size_ = 1;
  int64_t window_ = 1;                                                  ///< draws in which every source has its share
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();  ///< guards the two caches
  mutable std::vector<std::shared_ptr<const Window>> windows_;
  mutable std::vector<std::vector<std::pair<int64_t, std::shared_ptr<const std::vector<int64_t>>>>>
      permutations_;  ///< by source: epoch, order
};

}  // namespace ocelli::data
