#include "ocelli/data/mixture.h"

#include <algorithm>
#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/base/rng.h"

namespace ocelli::data {
namespace {

/// Draws of a window. The largest of n sources has at least a window / n of them, which must not be fewer than the n - 1 that
/// rounding may take from it.
constexpr int64_t kWindow = 1024, kWideWindow = 16384;
constexpr size_t kMostSources = 128, kFewSources = 32;
/// Loaders look a little ahead: two neighbours of each kind are enough.
constexpr size_t kKept = 3;

}  // namespace

/// Sources of the draws of one window, in order, and how many each source gave before it.
struct Mixture::Window {
  int64_t number = 0;
  std::vector<int32_t> source;
  std::vector<int64_t> rank;    ///< how many draws of its source stand before it
  std::vector<int64_t> before;  ///< draws of each source before the window
};

Mixture::Mixture(std::vector<Source> sources, uint64_t seed) : sources_(std::move(sources)), seed_(seed) {
  require(!sources_.empty(), "mixture: it has no source");
  require(sources_.size() <= kMostSources, "mixture: {} sources, at most {} can be mixed", sources_.size(), kMostSources);
  double total = 0;
  for (const Source& source : sources_) {
    require(std::isfinite(source.weight) && source.weight > 0, "data {}: weight {} is not positive", source.data->name(),
            source.weight);
    total += source.weight * static_cast<double>(source.data->size());
  }
  for (const Source& source : sources_) share_.push_back(source.weight * static_cast<double>(source.data->size()) / total);
  epoch_size_ = std::max<int64_t>(1, std::llround(total));
  permutations_.resize(sources_.size());
  window_ = sources_.size() > kFewSources ? kWideWindow : kWindow;
}

std::shared_ptr<const Mixture::Window> Mixture::window(int64_t number) const {
  for (const auto& kept : windows_) {
    if (kept->number == number) return kept;
  }
  // Every source's count up to a window's end is its share, rounded; the largest source takes what is left, so that counts add up
  // to the draws. Rounded shares never fall as draws grow, and the largest gives way by less than it gains in a window: no count
  // ever falls, so that no draw is given twice. (Rounding along the cumulative shares lets the counts of a small source fall.)
  const size_t largest = static_cast<size_t>(std::max_element(share_.begin(), share_.end()) - share_.begin());
  const auto counts_before = [&](int64_t draws) {
    std::vector<int64_t> counts(share_.size());
    int64_t given = 0;
    for (size_t s = 0; s < share_.size(); ++s) {
      if (s == largest) continue;
      counts[s] = std::llround(share_[s] * static_cast<double>(draws));
      given += counts[s];
    }
    counts[largest] = draws - given;
    return counts;
  };
  auto out = std::make_shared<Window>();
  out->number = number;
  const std::vector<int64_t> before = counts_before(number * window_), after = counts_before((number + 1) * window_);
  std::vector<int32_t> sorted;
  for (size_t s = 0; s < share_.size(); ++s) {
    sorted.insert(sorted.end(), static_cast<size_t>(after[s] - before[s]), static_cast<int32_t>(s));
  }
  const std::vector<int64_t> order =
      Rng::named(seed_, "mixture window").permutation(window_, static_cast<uint64_t>(number) << 32);
  out->before = before;
  std::vector<int64_t> rank = before;
  for (int64_t i = 0; i < window_; ++i) {
    const int32_t source = sorted[static_cast<size_t>(order[static_cast<size_t>(i)])];
    out->source.push_back(source);
    out->rank.push_back(rank[static_cast<size_t>(source)]++);
  }
  windows_.push_back(out);
  if (windows_.size() > kKept) windows_.erase(windows_.begin());
  return out;
}

std::shared_ptr<const std::vector<int64_t>> Mixture::permutation(int64_t source, int64_t epoch) const {
  auto& kept = permutations_[static_cast<size_t>(source)];
  for (const auto& [of_epoch, order] : kept) {
    if (of_epoch == epoch) return order;
  }
  const Rng rng = Rng::named(seed_, "order of source " + std::to_string(source));
  auto order = std::make_shared<const std::vector<int64_t>>(
      rng.permutation(sources_[static_cast<size_t>(source)].data->size(), static_cast<uint64_t>(epoch) << 40));
  kept.emplace_back(epoch, order);
  if (kept.size() > kKept) kept.erase(kept.begin());
  return order;
}

std::vector<int64_t> Mixture::drawn(int64_t position) const {
  const std::scoped_lock lock(*mutex_);
  const auto of = window(position / window_);
  std::vector<int64_t> counts = of->before;
  for (int64_t i = 0; i < position % window_; ++i) ++counts[static_cast<size_t>(of->source[static_cast<size_t>(i)])];
  return counts;
}

Draw Mixture::at(int64_t position) const {
  const std::scoped_lock lock(*mutex_);
  const auto of = window(position / window_);
  const size_t within = static_cast<size_t>(position % window_);
  Draw draw;
  draw.source = of->source[within];
  const int64_t size = sources_[static_cast<size_t>(draw.source)].data->size();
  draw.epoch = of->rank[within] / size;
  draw.index = (*permutation(draw.source, draw.epoch))[static_cast<size_t>(of->rank[within] % size)];
  return draw;
}

}  // namespace ocelli::data
