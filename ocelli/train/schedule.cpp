#include "ocelli/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ocelli::train {

double learning_rate_share(const std::string& type, double warmup_ratio, int64_t step, int64_t total) {
  const auto warmup = static_cast<int64_t>(std::ceil(warmup_ratio * static_cast<double>(total)));
  if (step < warmup) return static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, warmup));
  if (type == "constant") return 1.0;
  const double progress = static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(1, total - warmup));
  if (type == "linear") return std::max(0.0, 1.0 - progress);
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

}  // namespace ocelli::train
