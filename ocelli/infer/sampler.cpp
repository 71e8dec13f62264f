#include "ocelli/infer/sampler.h"

#include <algorithm>
#include <cmath>

#include "ocelli/base/error.h"

namespace ocelli::infer {

void SamplingOptions::validate() const {
  if (!(temperature >= 0 && temperature <= 100)) throw UsageError(fmt::format("--temp {}: expected 0 to 100", temperature));
  if (top_k < 0) throw UsageError(fmt::format("--top-k {}: expected 0 (all) or more", top_k));
  if (!(top_p > 0 && top_p <= 1)) throw UsageError(fmt::format("--top-p {}: expected a number above 0, at most 1", top_p));
  if (max_tokens < 1) throw UsageError(fmt::format("-n {}: expected at least 1", max_tokens));
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), rng_(Rng::named(options.seed, "sampler")) {
  options.validate();
}

int64_t Sampler::choose(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  const bool none_is_nan = std::none_of(logits.begin(), logits.end(), [](float value) { return std::isnan(value); });
  require(best != logits.end() && none_is_nan && std::isfinite(*best), "sampler: the logits are not finite");
  if (options_.temperature == 0) return best - logits.begin();

  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) candidates_.emplace_back(logits[i], static_cast<int64_t>(i));
  // Ties go to the lower id, so that the order is the same everywhere.
  const auto likelier = [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; };
  const size_t kept =
      options_.top_k > 0 ? std::min<size_t>(static_cast<size_t>(options_.top_k), candidates_.size()) : candidates_.size();
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept), candidates_.end(), likelier);
  candidates_.resize(kept);

  // top-p looks at the probabilities as the model gives them; the temperature comes last.
  std::vector<double> weight(kept);
  const auto weigh = [&](size_t count, double temperature) {
    double total = 0;
    for (size_t i = 0; i < count; ++i) {
      weight[i] = std::exp((static_cast<double>(candidates_[i].first) - static_cast<double>(*best)) / temperature);
      total += weight[i];
    }
    return total;
  };
  size_t last = kept;
  if (options_.top_p < 1) {
    const double wanted = options_.top_p * weigh(kept, 1);
    double held = 0;
    for (last = 0; last < kept && held < wanted;) held += weight[last++];
  }
  double point = rng_.uniform(drawn_++) * weigh(last, options_.temperature);
  for (size_t i = 0; i < last; ++i) {
    point -= weight[i];
    if (point < 0) return candidates_[i].second;
  }
  return candidates_[last - 1].second;
}

}  // namespace ocelli::infer
