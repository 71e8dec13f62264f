#include "ocelli/text/charsmap.h"

#include "ocelli/base/error.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

uint32_t word_at(std::string_view bytes, size_t position) {
  uint32_t word = 0;
  for (size_t i = 0; i < 4; ++i) word |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[position + i])) << (8 * i);
  return word;
}

// A unit of the double array.
bool has_leaf(uint32_t unit) {
  return ((unit >> 8) & 1) != 0;
}
uint32_t value_of(uint32_t unit) {
  return unit & 0x7FFFFFFF;
}
uint32_t label_of(uint32_t unit) {
  return unit & 0x800000FF;
}
uint32_t offset_of(uint32_t unit) {
  return (unit >> 10) << ((unit & (1U << 9)) >> 6);
}

}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& origin) : origin_(origin) {
  if (blob.empty()) return;
  require(blob.size() > 4, "{}: the charsmap has {} bytes, expected more than 4", origin, blob.size());
  const uint32_t array_bytes = word_at(blob, 0);
  require(array_bytes <= blob.size() - 4 && array_bytes % 4 == 0 && array_bytes > 0,
          "{}: the charsmap's array is said to have {} bytes, expected a positive multiple of 4 up to {}", origin, array_bytes,
          blob.size() - 4);
  units_.resize(array_bytes / 4);
  for (size_t i = 0; i < units_.size(); ++i) units_[i] = word_at(blob, 4 + 4 * i);
  replacements_ = blob.substr(4 + array_bytes);
  require(is_valid_utf8(replacements_), "{}: the charsmap's replacements are no valid UTF-8", origin);
}

std::string_view Charsmap::replacement(uint32_t offset) const {
  require(offset < replacements_.size() && (static_cast<uint8_t>(replacements_[offset]) & 0xC0) != 0x80,
          "{}: the charsmap points to byte {} of {} bytes of replacements", origin_, offset, replacements_.size());
  const std::string_view rest = std::string_view(replacements_).substr(offset);
  return rest.substr(0, rest.find('\0'));
}

std::optional<Charsmap::Match> Charsmap::find(std::string_view text, bool first) const {
  if (units_.empty()) return std::nullopt;
  size_t node = offset_of(units_[0]);
  size_t length = 0;
  uint32_t value = 0;
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    node ^= static_cast<uint8_t>(text[i]);
    if (node >= units_.size()) break;
    const uint32_t unit = units_[node];
    if (label_of(unit) != static_cast<uint8_t>(text[i])) break;
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    require(node < units_.size(), "{}: the charsmap points outside its array", origin_);
    length = i + 1;
    value = value_of(units_[node]);
    if (first) break;
  }
  if (length == 0) return std::nullopt;
  return Match{length, replacement(value)};
}

}  // namespace ocelli::text
