#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ocelli/data/distribution.h"
#include "ocelli/data/finding.h"
#include "ocelli/data/sample_check.h"

namespace ocelli::data {

struct CheckOptions {
  SampleCheckOptions sample;
  /// Sets that must not share pictures or questions with the checked ones: test data.
  std::vector<std::shared_ptr<const Dataset>> against;
  /// Bits two perceptual hashes may differ in for near pictures, at most HashIndex::kMaxDistance; negative: none are looked for.
  int near_distance = 3;
  int threads = 1;
  /// Called with each finding in order of samples, on the calling thread.
  std::function<void(const Finding&)> on_finding = {};
  /// Called after each sample of `against`, then of the sources, with how many are done in all.
  std::function<void(int64_t done)> on_progress = {};
};

/// What was counted over all samples that could be read.
struct CheckReport {
  /// Findings of each kind that are kept as examples; on_finding gets all.
  static constexpr size_t kExamples = 20;

  int64_t samples = 0;   ///< broken ones included
  int64_t readable = 0;  ///< samples whose record could be read
  std::map<FindingKind, int64_t> counts;
  std::map<FindingKind, std::vector<Finding>> examples;

  int64_t turns = 0, pictures = 0;
  int64_t distinct_pictures = 0;  ///< by bytes
  Distribution words, tokens;     ///< of a sample's turns together; tokens: with a tokenizer
  Distribution pictures_each;     ///< pictures of a sample
  Distribution longer_side;       ///< pixels
  Distribution aspect_percent;    ///< width over height, in percent
  ScriptCounts letters;
  /// Samples by the script of most of their letters; a fifth of Han is enough, as its characters stand for words.
  int64_t han_samples = 0, latin_samples = 0, other_samples = 0, letterless_samples = 0;
  int64_t reading_samples = 0;  ///< about text in pictures, see SampleChecker
  int64_t yes = 0, no = 0;      ///< answers that are just that
  std::array<int64_t, 26> letter_answers{};

  /// What a set shares with one of `against`.
  struct Overlap {
    std::string name;
    int64_t samples = 0;                                                ///< of the other set
    int64_t pictures = 0, near_pictures = 0, pairs = 0, questions = 0;  ///< samples of the checked sets that have one
  };
  std::vector<Overlap> overlaps;

  int64_t of(FindingKind kind) const;
  int64_t findings(Severity severity) const;
  OrderedJson to_json() const;
};

/// Checks every sample of the sources, each alone and against all before it, and against the sets of `against`.
CheckReport check_datasets(std::span<const std::shared_ptr<const Dataset>> sources, const CheckOptions& options);

/// Edges of the report's histograms.
std::span<const int64_t> length_edges();
std::span<const int64_t> side_edges();
std::span<const int64_t> aspect_edges();

}  // namespace ocelli::data
