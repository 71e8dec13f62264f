#pragma once

#include <cstddef>
#include <string_view>

namespace ocelli::report {

/// One character of UTF-8 text. `bytes` is 0 only at the end. A byte that starts no valid sequence (overlong forms, surrogates
/// and values above U+10FFFF are none) is a character of its own: U+FFFD, one byte, not valid.
struct Utf8Character {
  char32_t code = 0;
  size_t bytes = 0;
  bool valid = true;
};
Utf8Character next_character(std::string_view text);

}  // namespace ocelli::report
