#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ocelli/base/rng.h"

namespace ocelli::infer {

/// How the next token is chosen. Names and meaning as in llama.cpp, and its order: top-k, then top-p of the probabilities at
/// temperature 1, then the temperature.
struct SamplingOptions {
  double temperature = 0.8;  ///< --temp; 0: the most likely token, always
  int64_t top_k = 40;        ///< --top-k; only the k most likely, 0: all
  double top_p =
      0.95;           ///< --top-p; only the smallest set that holds this probability, 1: all (Holtzman et al., arXiv:1904.09751)
  uint64_t seed = 0;  ///< --seed
  int64_t max_tokens = 256;  ///< -n

  /// Throws UsageError naming the option, its value and its range.
  void validate() const;
};

/// Chooses tokens; the n-th choice of a sampler depends on (seed, n) and the logits alone.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  /// Index into `logits`. Throws Error when one is NaN or all are minus infinity.
  int64_t choose(std::span<const float> logits);

 private:
  SamplingOptions options_;
  Rng rng_;
  uint64_t drawn_ = 0;
  std::vector<std::pair<float, int64_t>> candidates_;
};

}  // namespace ocelli::infer
