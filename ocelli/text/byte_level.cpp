#include "ocelli/text/byte_level.h"

#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

constexpr size_t kCharacters = 0x144;

bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

struct Tables {
  std::array<char32_t, 256> characters{};
  std::array<std::string, 256> encoded;
  std::array<int16_t, kCharacters> bytes{};

  Tables() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const char32_t character = stands_for_itself(byte) ? byte : next++;
      characters[byte] = character;
      append_utf8(encoded[byte], character);
      bytes[character] = static_cast<int16_t>(byte);
    }
  }
};

const Tables& tables() {
  static const Tables kTables;
  return kTables;
}

}  // namespace

const std::array<char32_t, 256>& byte_characters() {
  return tables().characters;
}

void append_byte_level(std::string& out, std::string_view bytes) {
  const Tables& t = tables();
  for (const char byte : bytes) out += t.encoded[static_cast<uint8_t>(byte)];
}

std::optional<uint8_t> byte_of(char32_t character) {
  if (character >= kCharacters) return std::nullopt;
  const int16_t byte = tables().bytes[character];
  if (byte < 0) return std::nullopt;
  return static_cast<uint8_t>(byte);
}

}  // namespace ocelli::text
