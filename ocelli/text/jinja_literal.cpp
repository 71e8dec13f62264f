#include "ocelli/text/jinja_literal.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace ocelli::text::jinja {
namespace {

bool is_ascii_digit(char c) {
  return c >= '0' && c <= '9';
}

int digit_value(char c) {
  if (is_ascii_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 36;
}

/// End of `(\d+_)*\d+` at `offset`, or `offset` when no digit stands there.
size_t scan_digits(std::string_view text, size_t offset) {
  if (offset >= text.size() || !is_ascii_digit(text[offset])) return offset;
  while (offset < text.size()) {
    if (is_ascii_digit(text[offset])) {
      ++offset;
    } else if (text[offset] == '_' && offset + 1 < text.size() && is_ascii_digit(text[offset + 1])) {
      offset += 2;
    } else {
      break;
    }
  }
  return offset;
}

/// End of `(_?[digit])+` of a base at `offset`, or `offset`.
size_t scan_based_digits(std::string_view text, size_t offset, int base) {
  while (offset < text.size()) {
    const size_t digit = text[offset] == '_' ? offset + 1 : offset;
    if (digit >= text.size() || digit_value(text[digit]) >= base) break;
    offset = digit + 1;
  }
  return offset;
}

std::string without_underscores(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '_') out += c;
  }
  return out;
}

double to_double(const std::string& digits) {
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  // Out of range leaves the value untouched: Python reads inf or 0 there, as strtod does.
  if (error == std::errc::result_out_of_range) return std::strtod(digits.c_str(), nullptr);
  return value;
}

/// Digits of a base without sign, prefix or underscores.
std::optional<Int> parse_digits(std::string_view digits, int base, bool negative) {
  if (digits.empty()) return std::nullopt;
  Int value = 0;
  for (const char c : digits) {
    const int digit = digit_value(c);
    if (digit >= base || value > (kIntMax - digit) / base) return std::nullopt;
    value = value * base + digit;
  }
  return negative ? -value : value;
}

int prefix_base(std::string_view text) {
  if (text.size() < 2 || text[0] != '0') return 0;
  switch (text[1] | 0x20) {
    case 'b':
      return 2;
    case 'o':
      return 8;
    case 'x':
      return 16;
    default:
      return 0;
  }
}

}  // namespace

size_t scan_float(std::string_view text, size_t offset) {
  const size_t whole = scan_digits(text, offset);
  if (whole == offset) return 0;
  size_t end = whole;
  if (end + 1 < text.size() && text[end] == '.' && is_ascii_digit(text[end + 1])) end = scan_digits(text, end + 1);
  if (end < text.size() && (text[end] | 0x20) == 'e') {
    size_t exponent = end + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    const size_t after = scan_digits(text, exponent);
    if (after != exponent) return after;
  }
  return end == whole ? 0 : end;
}

size_t scan_integer(std::string_view text, size_t offset) {
  if (offset >= text.size() || !is_ascii_digit(text[offset])) return 0;
  if (const int base = prefix_base(text.substr(offset)); base != 0) {
    const size_t end = scan_based_digits(text, offset + 2, base);
    if (end != offset + 2) return end;
  }
  // A zero takes only more zeros: "007" is two tokens, and so an error for the parser.
  return text[offset] == '0' ? scan_based_digits(text, offset, 1) : scan_based_digits(text, offset, 10);
}

double parse_float_literal(std::string_view literal) {
  return to_double(without_underscores(literal));
}

std::optional<Int> parse_integer_literal(std::string_view literal) {
  const std::string digits = without_underscores(literal);
  const int base = prefix_base(digits);
  return base != 0 ? parse_digits(std::string_view(digits).substr(2), base, false) : parse_digits(digits, 10, false);
}

std::optional<Int> parse_int(std::string_view text, int base) {
  text = strip_right(strip_left(text));
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const int prefix = prefix_base(text);
  bool had_prefix = false;
  if (prefix != 0 && (base == 0 || base == prefix)) {
    text.remove_prefix(2);
    base = prefix;
    had_prefix = true;
  } else if (base == 0) {
    base = 10;
    // int("010", 0) is refused: it could mean octal.
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != std::string_view::npos) return std::nullopt;
  }
  if (text.empty() || text.back() == '_' || (text[0] == '_' && !had_prefix) || text.find("__") != std::string_view::npos) {
    return std::nullopt;
  }
  return parse_digits(without_underscores(text), base, negative);
}

std::optional<double> parse_float(std::string_view text) {
  text = strip_right(strip_left(text));
  double sign = 1;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    sign = text[0] == '-' ? -1 : 1;
    text.remove_prefix(1);
  }
  const std::string lower = to_lower(text);
  if (lower == "inf" || lower == "infinity") return sign * std::numeric_limits<double>::infinity();
  if (lower == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (text.empty() || (!is_ascii_digit(text[0]) && text[0] != '.')) return std::nullopt;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') continue;
    if (i == 0 || i + 1 == text.size() || !is_ascii_digit(text[i - 1]) || !is_ascii_digit(text[i + 1])) return std::nullopt;
  }
  const std::string digits = without_underscores(text);
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) value = std::strtod(digits.c_str(), nullptr);
  return sign * value;
}

std::string unescape_string(std::string_view body, Position at) {
  std::string out;
  out.reserve(body.size());
  const auto hex = [&](size_t& i, size_t count) {
    char32_t value = 0;
    for (size_t k = 0; k < count; ++k) {
      if (++i >= body.size() || digit_value(body[i]) >= 16) fail_at(at, "a \\x, \\u or \\U escape of the string is too short");
      value = value * 16 + static_cast<char32_t>(digit_value(body[i]));
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
      fail_at(at, "the string's escape U+{:X} is no Unicode character", static_cast<uint32_t>(value));
    }
    append_code_point(out, value);
  };
  for (size_t i = 0; i < body.size(); ++i) {
    if (body[i] != '\\') {
      out += body[i];
      continue;
    }
    const char c = body[++i];  // the lexer never ends a string on a single backslash
    switch (c) {
      case '\n':
        break;
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case 'r':
        out += '\r';
        break;
      case 'a':
        out += '\a';
        break;
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'v':
        out += '\v';
        break;
      case '\\':
      case '\'':
      case '"':
        out += c;
        break;
      case 'x':
        hex(i, 2);
        break;
      case 'u':
        hex(i, 4);
        break;
      case 'U':
        hex(i, 8);
        break;
      case 'N':
        fail_at(at, "the escape \\N{{name}} isn't supported; write \\u and the number");
      default:
        if (c >= '0' && c <= '7') {
          char32_t value = static_cast<char32_t>(c - '0');
          for (int k = 0; k < 2 && i + 1 < body.size() && body[i + 1] >= '0' && body[i + 1] <= '7'; ++k) {
            value = value * 8 + static_cast<char32_t>(body[++i] - '0');
          }
          append_code_point(out, value);
        } else {
          out += '\\';
          out += c;
        }
    }
  }
  return out;
}

std::string int_text(Int value) {
  return fmt::format("{}", value);
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer{};  // zeroed: the exponent is read up to a zero byte
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(result.ptr - buffer.data()));
  const size_t mark = text.find('e');
  std::string_view mantissa = text.substr(0, mark);
  const int exponent = std::atoi(text.data() + mark + 1);
  std::string out;
  if (mantissa[0] == '-') {
    out = "-";
    mantissa.remove_prefix(1);
  }
  std::string digits(1, mantissa[0]);
  if (mantissa.size() > 2) digits += mantissa.substr(2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." + digits.substr(static_cast<size_t>(exponent) + 1);
}

std::string fixed_text(double value, int digits) {
  if (!std::isfinite(value)) return float_text(value);
  return fmt::format("{:.{}f}", value, digits);
}

}  // namespace ocelli::text::jinja
