#include "ocelli/text/jinja_unicode.h"

#include <utf8proc.h>

namespace ocelli::text::jinja {
namespace {

constexpr char32_t kByteBase = 0xDC00;  // an undecodable byte b stands as kByteBase + b

utf8proc_category_t category(char32_t value) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(value));
}

bool is_cased_upper(char32_t value) {
  return category(value) == UTF8PROC_CATEGORY_LU;
}
bool is_cased_title(char32_t value) {
  return category(value) == UTF8PROC_CATEGORY_LT;
}
bool is_cased_lower(char32_t value) {
  // Other_Lowercase outside Ll: the ordinal indicators, modifier letters, small Roman numerals and circled letters.
  return category(value) == UTF8PROC_CATEGORY_LL || value == 0xAA || value == 0xBA || (value >= 0x2B0 && value <= 0x2B8) ||
         (value >= 0x2170 && value <= 0x217F) || (value >= 0x24D0 && value <= 0x24E9);
}
bool is_cased(char32_t value) {
  return is_cased_upper(value) || is_cased_lower(value) || is_cased_title(value);
}

/// utf8proc maps one code point to one; these are the common characters whose upper case is longer.
std::string_view long_upper(char32_t value) {
  switch (value) {
    case 0xDF:
      return "SS";
    case 0x149:
      return "\xCA\xBCN";
    case 0xFB00:
      return "FF";
    case 0xFB01:
      return "FI";
    case 0xFB02:
      return "FL";
    case 0xFB03:
      return "FFI";
    case 0xFB04:
      return "FFL";
    case 0xFB05:
    case 0xFB06:
      return "ST";
    default:
      return {};
  }
}

void append_upper(std::string& out, char32_t value) {
  const std::string_view expanded = long_upper(value);
  if (!expanded.empty()) {
    out += expanded;
    return;
  }
  append_code_point(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(value))));
}

void append_title(std::string& out, char32_t value) {
  const std::string_view expanded = long_upper(value);
  if (!expanded.empty()) {
    out += expanded.substr(0, 1);
    out += to_lower(expanded.substr(1));
    return;
  }
  append_code_point(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(value))));
}

/// A capital sigma at the end of a word becomes the final form, as in Python's str.lower().
bool is_final_sigma(std::string_view text, size_t offset) {
  size_t before = offset;
  bool cased_before = false;
  while (before > 0) {
    before = previous_code_point(text, before);
    const char32_t value = code_point_at(text, before).value;
    if (is_cased(value)) {
      cased_before = true;
      break;
    }
    if (value != U'\'' && value != U'.' && value != 0xAD && value != 0x2019 && category(value) != UTF8PROC_CATEGORY_MN) break;
  }
  if (!cased_before) return false;
  for (size_t after = offset + code_point_at(text, offset).bytes; after < text.size();) {
    const CodePoint point = code_point_at(text, after);
    if (is_cased(point.value)) return false;
    if (point.value != U'\'' && point.value != U'.' && point.value != 0xAD && point.value != 0x2019 &&
        category(point.value) != UTF8PROC_CATEGORY_MN) {
      break;
    }
    after += point.bytes;
  }
  return true;
}

void append_lower(std::string& out, std::string_view text, size_t offset, char32_t value) {
  if (value == 0x3A3 && is_final_sigma(text, offset)) {
    append_code_point(out, 0x3C2);
  } else if (value == 0x130) {
    append_code_point(out, U'i');
    append_code_point(out, 0x307);
  } else {
    append_code_point(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(value))));
  }
}

bool contains(std::string_view characters, char32_t value) {
  for (size_t offset = 0; offset < characters.size();) {
    const CodePoint point = code_point_at(characters, offset);
    if (point.value == value) return true;
    offset += point.bytes;
  }
  return false;
}

template <typename Strips>
std::string_view strip_left_if(std::string_view text, Strips strips) {
  size_t offset = 0;
  while (offset < text.size()) {
    const CodePoint point = code_point_at(text, offset);
    if (!strips(point.value)) break;
    offset += point.bytes;
  }
  return text.substr(offset);
}

template <typename Strips>
std::string_view strip_right_if(std::string_view text, Strips strips) {
  size_t end = text.size();
  while (end > 0) {
    const size_t start = previous_code_point(text, end);
    if (!strips(code_point_at(text, start).value)) break;
    end = start;
  }
  return text.substr(0, end);
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t offset) {
  const auto first = static_cast<unsigned char>(text[offset]);
  if (first < 0x80) return {first, 1};
  utf8proc_int32_t value = 0;
  const utf8proc_ssize_t bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + offset,
                                                  static_cast<utf8proc_ssize_t>(text.size() - offset), &value);
  if (bytes <= 0) return {kByteBase + first, 1};
  return {static_cast<char32_t>(value), static_cast<size_t>(bytes)};
}

void append_code_point(std::string& out, char32_t value) {
  if (value < 0x80) {
    out += static_cast<char>(value);
  } else if (value >= kByteBase + 0x80 && value <= kByteBase + 0xFF) {
    out += static_cast<char>(value - kByteBase);
  } else {
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(value), bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
  }
}

size_t count_code_points(std::string_view text) {
  size_t count = 0;
  for (size_t offset = 0; offset < text.size(); ++count) offset += code_point_at(text, offset).bytes;
  return count;
}

size_t offset_of_code_point(std::string_view text, size_t index) {
  size_t offset = 0;
  for (; index > 0 && offset < text.size(); --index) offset += code_point_at(text, offset).bytes;
  return offset;
}

size_t previous_code_point(std::string_view text, size_t end) {
  // The longest valid sequence that ends at `end`; otherwise the last byte alone.
  for (size_t bytes = end < 4 ? end : 4; bytes > 1; --bytes) {
    if (code_point_at(text.substr(0, end), end - bytes).bytes == bytes) return end - bytes;
  }
  return end - 1;
}

bool is_space(char32_t value) {
  return (value >= 0x09 && value <= 0x0D) || (value >= 0x1C && value <= 0x20) || value == 0x85 || value == 0xA0 ||
         value == 0x1680 || (value >= 0x2000 && value <= 0x200A) || value == 0x2028 || value == 0x2029 || value == 0x202F ||
         value == 0x205F || value == 0x3000;
}

bool is_printable(char32_t value) {
  if (value == U' ') return true;
  switch (category(value)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_alpha(char32_t value) {
  const utf8proc_category_t kind = category(value);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t value) {
  return category(value) == UTF8PROC_CATEGORY_ND;
}

bool is_digit(char32_t value) {
  // Numeric_Type=Digit beside Nd: superscripts, subscripts, circled and parenthesised digits.
  return is_decimal(value) || value == 0xB2 || value == 0xB3 || value == 0xB9 || value == 0x2070 ||
         (value >= 0x2074 && value <= 0x2079) || (value >= 0x2080 && value <= 0x2089) || (value >= 0x2460 && value <= 0x2468) ||
         (value >= 0x2474 && value <= 0x247C) || (value >= 0x2488 && value <= 0x2490);
}

bool is_numeric(char32_t value) {
  const utf8proc_category_t kind = category(value);
  return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_NO;
}

bool is_identifier_part(char32_t value) {
  if (value < 0x80) return (value >= '0' && value <= '9') || value == '_' || ((value | 0x20) >= 'a' && (value | 0x20) <= 'z');
  const utf8proc_category_t kind = category(value);
  return is_alpha(value) || kind == UTF8PROC_CATEGORY_MN || kind == UTF8PROC_CATEGORY_MC || kind == UTF8PROC_CATEGORY_ND ||
         kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_PC;
}

size_t space_bytes_at(std::string_view text, size_t offset) {
  if (offset >= text.size()) return 0;
  const CodePoint point = code_point_at(text, offset);
  return is_space(point.value) ? point.bytes : 0;
}

std::string_view strip_left(std::string_view text) {
  return strip_left_if(text, is_space);
}
std::string_view strip_right(std::string_view text) {
  return strip_right_if(text, is_space);
}
std::string_view strip_left(std::string_view text, std::string_view characters) {
  return strip_left_if(text, [&](char32_t value) { return contains(characters, value); });
}
std::string_view strip_right(std::string_view text, std::string_view characters) {
  return strip_right_if(text, [&](char32_t value) { return contains(characters, value); });
}

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    append_upper(out, point.value);
    offset += point.bytes;
  }
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    append_lower(out, text, offset, point.value);
    offset += point.bytes;
  }
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    if (in_word) {
      append_lower(out, text, offset, point.value);
    } else {
      append_title(out, point.value);
    }
    in_word = is_cased(point.value);
    offset += point.bytes;
  }
  return out;
}

std::string to_capitalized(std::string_view text) {
  std::string out;
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    if (offset == 0) {
      append_title(out, point.value);
    } else {
      append_lower(out, text, offset, point.value);
    }
    offset += point.bytes;
  }
  return out;
}

std::string to_swapped_case(std::string_view text) {
  std::string out;
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    if (is_cased_upper(point.value)) {
      append_lower(out, text, offset, point.value);
    } else if (is_cased_lower(point.value)) {
      append_upper(out, point.value);
    } else {
      append_code_point(out, point.value);
    }
    offset += point.bytes;
  }
  return out;
}

bool is_upper(std::string_view text) {
  bool found = false;
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    if (is_cased_lower(point.value) || is_cased_title(point.value)) return false;
    found = found || is_cased_upper(point.value);
    offset += point.bytes;
  }
  return found;
}

bool is_lower(std::string_view text) {
  bool found = false;
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    if (is_cased_upper(point.value) || is_cased_title(point.value)) return false;
    found = found || is_cased_lower(point.value);
    offset += point.bytes;
  }
  return found;
}

bool is_title(std::string_view text) {
  bool found = false;
  bool in_word = false;
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    const bool starts = is_cased_upper(point.value) || is_cased_title(point.value);
    const bool continues = is_cased_lower(point.value);
    if ((starts && in_word) || (continues && !in_word)) return false;
    in_word = starts || continues;
    found = found || in_word;
    offset += point.bytes;
  }
  return found;
}

}  // namespace ocelli::text::jinja
