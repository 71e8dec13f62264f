#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "ocelli/base/utf8.h"

namespace ocelli::text {

struct CodePoint {
  char32_t value = 0;
  size_t bytes = 0;  ///< 1 to 4
};

/// The code point at byte `pos` (< text.size()). A byte that starts no valid sequence reads as U+FFFD of one byte,
/// so a loop over any bytes ends and stays inside.
CodePoint code_point_at(std::string_view text, size_t pos);

/// The start of the code point that ends at byte `pos` (0 < pos <= text.size()).
size_t previous_start(std::string_view text, size_t pos);

bool is_valid_utf8(std::string_view text);

/// `text` with every maximal invalid part replaced by U+FFFD: Unicode's recommended practice (chapter 3.9), and
/// what Rust's `from_utf8_lossy` gives.
std::string valid_utf8(std::string_view text);

}  // namespace ocelli::text
