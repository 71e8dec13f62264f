#include "ocelli/text/base64.h"

#include <cstdint>

#include "ocelli/base/error.h"

namespace ocelli::text {

namespace {

int value_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

std::string decode_base64(std::string_view text, const std::string& origin) {
  require(text.size() % 4 == 0, "{}: base64 of {} characters, expected a multiple of 4", origin, text.size());
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t word = 0;
    for (size_t j = i; j < i + 4; ++j) {
      const bool padded = j + padding >= text.size();
      const int value = padded ? 0 : value_of(text[j]);
      require(value >= 0, "{}: character {} is no base64", origin, j);
      word = (word << 6) | static_cast<uint32_t>(value);
    }
    for (int shift = 16; shift >= 0; shift -= 8) bytes += static_cast<char>((word >> shift) & 0xFF);
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

}  // namespace ocelli::text
