#pragma once

#include <string>

namespace ocelli {

/// Puts the character behind `out`, in 1 to 4 bytes. `code_point` is at most U+10FFFF.
void append_utf8(std::string& out, char32_t code_point);

}  // namespace ocelli
