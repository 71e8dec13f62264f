#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ocelli::text {

/// The printable character that stands for each byte in byte-level vocabularies (GPT-2's `bytes_to_unicode`): printable
/// Latin-1 stands for itself, the other 68 bytes are U+0100 … U+0143 in order.
const std::array<char32_t, 256>& byte_characters();

/// Appends `bytes` in printable form.
void append_byte_level(std::string& out, std::string_view bytes);

/// The byte a character stands for.
std::optional<uint8_t> byte_of(char32_t character);

}  // namespace ocelli::text
