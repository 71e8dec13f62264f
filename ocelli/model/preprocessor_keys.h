#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ocelli/base/json.h"
#include "ocelli/image/transform.h"

namespace ocelli::model {

// What the readers of preprocessing tables share.

/// A side in pixels is at most this.
inline constexpr int64_t kLargestSide = 1 << 14;

/// Pillow's number for a filter, and the filter of a key that holds one. Throws Error naming the known numbers.
int64_t pillow_number(image::Filter filter);
image::Filter filter_of(const JsonView& config, std::string_view key, image::Filter fallback);
/// Three numbers, a channel each.
std::array<float, 3> three_of(const JsonView& config, std::string_view key, std::array<float, 3> fallback);
/// The same, all positive.
std::array<float, 3> deviations_of(const JsonView& config, std::string_view key, std::array<float, 3> fallback);

}  // namespace ocelli::model
