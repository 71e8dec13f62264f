#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ocelli/data/dataset.h"
#include "ocelli/data/distribution.h"
#include "ocelli/data/encoder.h"

namespace ocelli::data {

struct StatsOptions {
  int64_t limit = 1000;  ///< samples looked at, drawn at random without repetition; 0: all
  uint64_t seed = 1;     ///< of the draw
  int threads = 1;
  /// Counts tokens as training sees them; null: turns, pictures and words alone.
  const SampleEncoder* encoder = nullptr;
  /// What training on a sample costs, a number per stage; called on the calling thread. May be empty.
  std::function<std::vector<double>(const std::shared_ptr<const EncodedSample>&)> flops = {};
  std::function<void()> on_sample = {};  ///< after each sample
};

/// What was counted in the samples that were looked at and could be read. total() and mean() speak for the whole source.
struct SourceStats {
  std::string name;
  int64_t samples = 0;  ///< of the whole source
  int64_t looked_at = 0;
  int64_t faults = 0;  ///< of those looked at, broken ones; a source's other samples are taken to be broken as often
  std::string first_fault;
  int64_t turns = 0, pictures = 0, words = 0;
  int64_t text_tokens = 0, visual_tokens = 0, trained_tokens = 0;
  Distribution tokens;        ///< of a sample, pictures included
  std::vector<double> flops;  ///< by stage

  bool all_seen() const { return looked_at == samples; }
  int64_t good() const { return looked_at - faults; }
  /// `counted`, a sum over the good samples looked at, for all of the source.
  double total(double counted) const;
  /// 1.96 standard errors of the estimated number of tokens, relative to it; 0 when all were seen.
  double token_error() const;
  OrderedJson to_json() const;
};
SourceStats count_source(const Dataset& data, const StatsOptions& options);

}  // namespace ocelli::data
