#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "ocelli/data/dataset.h"
#include "ocelli/data/picture_index.h"
#include "ocelli/data/sample_check.h"

namespace ocelli::data {

/// What is kept. Neutral values ask for nothing; samples that can't be read, or whose pictures can't, are never kept.
struct FilterOptions {
  int64_t min_side = 0;           ///< of the shorter side of every picture, in pixels; 0: any
  double max_aspect = 0;          ///< longer side over the shorter of every picture; 0: any
  int64_t min_words = 0;          ///< of all turns together, see count_words()
  int64_t max_words = 0;          ///< 0: any
  bool exact_duplicates = false;  ///< drop what says the same about the same pictures (by their bytes) as a kept sample
  /// Drop samples with a picture that is, by its bytes under another name or by its looks, one of a kept sample: bits of the
  /// perceptual hash that may differ, at most HashIndex::kMaxDistance. Negative: don't.
  int near_duplicates = -1;
  int threads = 1;
};

/// Why a sample is dropped.
struct Dropped {
  int64_t index = 0;
  std::string id = {};      ///< empty when its record can't be read
  std::string reason = {};  ///< "record", "picture", "side", "aspect", "words", "duplicate", "near_duplicate", "format"
  std::string text = {};

  OrderedJson to_json() const;
};

struct FilterResult {
  int64_t kept = 0;
  std::map<std::string, int64_t> dropped;  ///< by reason
  int64_t dropped_in_all() const;
};

/// Hands the samples to keep to `keep` and tells the others to `drop`, in order, on the calling thread. Of duplicates the first
/// stays. What `keep` throws as Error (a format that can't hold the sample) drops the sample for the reason "format".
FilterResult filter_dataset(const Dataset& data, const FilterOptions& options, const std::function<void(const Sample&)>& keep,
                            const std::function<void(const Dropped&)>& drop, const std::function<void()>& on_sample = {});

}  // namespace ocelli::data
