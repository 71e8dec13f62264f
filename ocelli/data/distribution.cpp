#include "ocelli/data/distribution.h"

#include <algorithm>
#include <cmath>

namespace ocelli::data {

int64_t Distribution::quantile(double share) const {
  const auto wanted = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(share * static_cast<double>(count_))));
  int64_t seen = 0;
  for (const auto& [value, count] : counts_) {
    seen += count;
    if (seen >= wanted) return value;
  }
  return 0;
}

int64_t Distribution::above(int64_t value) const {
  int64_t out = 0;
  for (auto at = counts_.upper_bound(value); at != counts_.end(); ++at) out += at->second;
  return out;
}

double Distribution::sum_of_squares() const {
  double out = 0;
  for (const auto& [value, count] : counts_)
    out += static_cast<double>(count) * static_cast<double>(value) * static_cast<double>(value);
  return out;
}

std::vector<Distribution::Bucket> Distribution::buckets(std::span<const int64_t> edges) const {
  std::vector<Bucket> out;
  for (size_t i = 0; i <= edges.size(); ++i) {
    Bucket bucket;
    if (i == 0) {
      bucket.label = fmt::format("-{}", edges.empty() ? 0 : edges[0] - 1);
    } else if (i == edges.size()) {
      bucket.label = fmt::format("{}-", edges[i - 1]);
    } else if (edges[i - 1] == edges[i] - 1) {
      bucket.label = std::to_string(edges[i - 1]);
    } else {
      bucket.label = fmt::format("{}-{}", edges[i - 1], edges[i] - 1);
    }
    auto at = i == 0 ? counts_.begin() : counts_.lower_bound(edges[i - 1]);
    const auto end = i == edges.size() ? counts_.end() : counts_.lower_bound(edges[i]);
    for (; at != end; ++at) bucket.count += at->second;
    out.push_back(std::move(bucket));
  }
  while (!out.empty() && out.back().count == 0) out.pop_back();
  const auto first = std::find_if(out.begin(), out.end(), [](const Bucket& bucket) { return bucket.count > 0; });
  out.erase(out.begin(), first);
  return out;
}

OrderedJson Distribution::to_json(std::span<const int64_t> edges) const {
  if (count_ == 0) return nullptr;
  OrderedJson histogram = OrderedJson::object();
  for (const Bucket& bucket : buckets(edges)) histogram[bucket.label] = bucket.count;
  return {{"count", count_},       {"mean", mean()},     {"min", quantile(0)},    {"median", quantile(0.5)},
          {"p95", quantile(0.95)}, {"max", quantile(1)}, {"histogram", histogram}};
}

}  // namespace ocelli::data
