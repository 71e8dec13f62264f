#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace ocelli::cli {

/// `640x480` as width and height, 1 to 2^20 each. Throws UsageError naming the option.
std::pair<int64_t, int64_t> size_of_picture(const std::string& option, const std::string& text);

}  // namespace ocelli::cli
