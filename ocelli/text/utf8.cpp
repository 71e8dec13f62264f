#include "ocelli/text/utf8.h"

#include <cstdint>

namespace ocelli::text {

namespace {

constexpr char32_t kReplacement = 0xFFFD;

struct Sequence {
  CodePoint point;
  size_t consumed = 0;  ///< bytes of the valid sequence, or of the maximal invalid part
  bool valid = false;
};

uint8_t byte_at(std::string_view text, size_t pos) {
  return static_cast<uint8_t>(text[pos]);
}

/// Table 3-7 of the Unicode standard: the range of the second byte depends on the first.
Sequence read_sequence(std::string_view text, size_t pos) {
  const uint8_t first = byte_at(text, pos);
  if (first < 0x80) return {{first, 1}, 1, true};
  size_t length = 0;
  uint8_t low = 0x80, high = 0xBF;
  char32_t value = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
    value = first & 0x1F;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    value = first & 0x0F;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    value = first & 0x07;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {{kReplacement, 1}, 1, false};
  }
  for (size_t i = 1; i < length; ++i) {
    if (pos + i >= text.size()) return {{kReplacement, 1}, i, false};
    const uint8_t next = byte_at(text, pos + i);
    if (next < low || next > high) return {{kReplacement, 1}, i, false};
    value = (value << 6) | (next & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {{value, length}, length, true};
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t pos) {
  return read_sequence(text, pos).point;
}

size_t previous_start(std::string_view text, size_t pos) {
  size_t start = pos - 1;
  while (start > 0 && pos - start < 4 && (byte_at(text, start) & 0xC0) == 0x80) --start;
  return start + code_point_at(text, start).bytes == pos ? start : pos - 1;
}

bool is_valid_utf8(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    if (byte_at(text, pos) < 0x80) {
      ++pos;
      continue;
    }
    const Sequence sequence = read_sequence(text, pos);
    if (!sequence.valid) return false;
    pos += sequence.consumed;
  }
  return true;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const Sequence sequence = read_sequence(text, pos);
    if (sequence.valid) {
      out.append(text.substr(pos, sequence.consumed));
    } else {
      append_utf8(out, kReplacement);
    }
    pos += sequence.consumed;
  }
  return out;
}

}  // namespace ocelli::text
