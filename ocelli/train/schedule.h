#pragma once

#include <cstdint>
#include <string>

namespace ocelli::train {

/// Share of the full learning rate at `step` (0-based) of `total`: linear warm-up over ceil(warmup_ratio * total) steps, then
/// constant, linear to zero, or half a cosine to zero. As transformers' get_cosine_schedule_with_warmup and its siblings.
double learning_rate_share(const std::string& type, double warmup_ratio, int64_t step, int64_t total);

}  // namespace ocelli::train
