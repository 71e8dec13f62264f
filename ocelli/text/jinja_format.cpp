#include <algorithm>
#include <cmath>
#include <cstdio>

#include "ocelli/text/jinja_literal.h"
#include "ocelli/text/jinja_operations.h"

namespace ocelli::text::jinja {
namespace {

constexpr Int kMaxWidth = 100'000;

/// What stands between ':' and '}' in braces, or between '%' and the letter.
struct Spec {
  std::string fill = " ";
  char align = 0;  // '<', '>', '^', '='; 0: the type's own
  char sign = '-';
  bool alternate = false;
  Int width = 0;
  char grouping = 0;
  int precision = -1;
  char type = 0;
};

std::string printf_double(double value, char type, int precision, bool alternate) {
  std::string format = alternate ? "%#.*" : "%.*";
  format += type;
  char small[64];
  const int size = std::snprintf(small, sizeof small, format.c_str(), precision, value);
  if (size < static_cast<int>(sizeof small)) return std::string(small, static_cast<size_t>(size));
  std::string out(static_cast<size_t>(size) + 1, '\0');
  std::snprintf(out.data(), out.size(), format.c_str(), precision, value);
  out.pop_back();
  return out;
}

std::string based_text(Int value, int base, bool upper) {
  std::string digits;
  for (Int rest = value < 0 ? -value : value; rest != 0 || digits.empty(); rest /= base) {
    digits += "0123456789abcdef"[static_cast<int>(rest % base)];
  }
  if (value < 0) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return upper ? to_upper(digits) : digits;
}

/// Pads `body`, of which the first `prefix` bytes are sign and base, to the width.
std::string pad(Runtime& runtime, const Spec& spec, std::string body, size_t prefix, char default_align) {
  const auto size = static_cast<Int>(count_code_points(body));
  if (size >= spec.width) return body;
  const Int missing = spec.width - size;
  runtime.check_size(missing * static_cast<Int>(spec.fill.size()) + static_cast<Int>(body.size()));
  const char align = spec.align != 0 ? spec.align : default_align;
  const Int before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string left, right;
  for (Int i = 0; i < before; ++i) left += spec.fill;
  for (Int i = before; i < missing; ++i) right += spec.fill;
  if (align == '=') return body.substr(0, prefix) + left + body.substr(prefix);
  return left + body + right;
}

void group_thousands(std::string& digits, char separator) {
  size_t end = 0;
  while (end < digits.size() && digits[end] >= '0' && digits[end] <= '9') ++end;
  for (; end > 3; end -= 3) digits.insert(end - 3, 1, separator);
}

std::string finish_number(Runtime& runtime, const Spec& spec, bool negative, std::string_view base_prefix, std::string digits) {
  if (spec.grouping != 0) group_thousands(digits, spec.grouping);
  std::string body = negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
  body += base_prefix;
  const size_t prefix = body.size();
  return pad(runtime, spec, body + digits, prefix, '>');
}

std::string format_integer(Runtime& runtime, const Spec& spec, Int value) {
  std::string prefix;
  std::string digits;
  const Int magnitude = value < 0 ? -value : value;
  switch (spec.type) {
    case 0:
    case 'd':
    case 'n':
      digits = int_text(magnitude);
      break;
    case 'b':
      digits = based_text(magnitude, 2, false), prefix = "0b";
      break;
    case 'o':
      digits = based_text(magnitude, 8, false), prefix = "0o";
      break;
    case 'x':
      digits = based_text(magnitude, 16, false), prefix = "0x";
      break;
    case 'X':
      digits = based_text(magnitude, 16, true), prefix = "0X";
      break;
    default:
      fail("format: an integer has no presentation '{}'", spec.type);
  }
  return finish_number(runtime, spec, value < 0, spec.alternate ? prefix : "", digits);
}

std::string format_double(Runtime& runtime, const Spec& spec, double value) {
  std::string digits;
  const double magnitude = std::fabs(value);
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  switch (spec.type) {
    case 0:
      if (spec.precision < 0) {
        digits = float_text(magnitude);
      } else {
        digits = printf_double(magnitude, 'g', std::max(precision, 1), false);
        if (digits.find_first_not_of("0123456789") == std::string::npos) digits += ".0";
      }
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      digits = printf_double(magnitude, spec.type, precision, spec.alternate);
      break;
    case 'n':
      digits = printf_double(magnitude, 'g', precision, spec.alternate);
      break;
    case '%':
      digits = printf_double(magnitude * 100, 'f', precision, spec.alternate) + "%";
      break;
    default:
      fail("format: a float has no presentation '{}'", spec.type);
  }
  return finish_number(runtime, spec, std::signbit(value) && !std::isnan(value), "", digits);
}

std::string cut(std::string_view text, int precision) {
  return std::string(precision < 0 ? text : text.substr(0, offset_of_code_point(text, static_cast<size_t>(precision))));
}

Int read_number(std::string_view text, size_t& i) {
  Int value = 0;
  while (i < text.size() && text[i] >= '0' && text[i] <= '9') {
    value = value * 10 + (text[i++] - '0');
    if (value > kMaxWidth) fail("format: a width or precision is over {}", kMaxWidth);
  }
  return value;
}

bool is_align(char c) {
  return c == '<' || c == '>' || c == '^' || c == '=';
}

Spec parse_spec(std::string_view text) {
  Spec spec;
  size_t i = 0;
  const size_t fill = text.empty() ? 0 : code_point_at(text, 0).bytes;
  if (fill != 0 && fill < text.size() && is_align(text[fill])) {
    spec.fill = text.substr(0, fill);
    spec.align = text[fill];
    i = fill + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[i++];
  }
  if (i < text.size() && (text[i] == '+' || text[i] == '-' || text[i] == ' ')) spec.sign = text[i++];
  if (i < text.size() && text[i] == '#') spec.alternate = true, ++i;
  if (i < text.size() && text[i] == '0') {
    if (spec.align == 0) spec.fill = "0", spec.align = '=';
    ++i;
  }
  spec.width = read_number(text, i);
  if (i < text.size() && (text[i] == ',' || text[i] == '_')) spec.grouping = text[i++];
  if (i < text.size() && text[i] == '.') {
    const size_t digits = ++i;
    spec.precision = static_cast<int>(read_number(text, i));
    if (i == digits) fail("format: the precision is missing after '.'");
  }
  if (i < text.size()) spec.type = text[i++];
  if (i != text.size()) fail("format: '{}' is no valid format", text);
  return spec;
}

std::string format_value(Runtime& runtime, const Value& value, std::string_view text) {
  if (text.empty()) return to_text(runtime, value);
  Spec spec = parse_spec(text);
  if (value.is_string()) {
    if ((spec.type != 0 && spec.type != 's') || spec.sign != '-' || spec.alternate || spec.grouping != 0) {
      fail("format: '{}' doesn't fit a string", text);
    }
    if (spec.align == '=') {
      if (spec.fill != "0") fail("format: '=' doesn't fit a string");
      spec.align = '<';
    }
    return pad(runtime, spec, cut(value.text(), spec.precision), 0, '<');
  }
  if (value.is(Kind::kBool) && spec.type == 0) fail("format: '{}' for a bool isn't supported; name a type such as d", text);
  const bool float_type = spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  if (value.is_integral() && !float_type) {
    if (spec.precision >= 0) fail("format: an integer has no precision");
    return format_integer(runtime, spec, value.integer());
  }
  if (value.is_number()) return format_double(runtime, spec, value.number());
  fail("format: '{}' doesn't fit a {}", text, type_name(value));
}

/// Where the braces' fields come from.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& arguments) : runtime_(runtime), arguments_(arguments) {}

  std::string format(std::string_view text, int depth) {
    if (depth > 2) fail("format: fields nest too deep");
    std::string out;
    for (size_t i = 0; i < text.size();) {
      runtime_.charge();
      const char c = text[i];
      if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
        out += c;
        i += 2;
      } else if (c == '{') {
        const size_t end = field_end(text, i + 1);
        out += field(text.substr(i + 1, end - i - 1), depth);
        i = end + 1;
      } else if (c == '}') {
        fail("format: single '}}' in the format string");
      } else {
        out += c;
        ++i;
      }
      runtime_.check_size(static_cast<Int>(out.size()));
    }
    return out;
  }

 private:
  static size_t field_end(std::string_view text, size_t begin) {
    int depth = 1;
    for (size_t i = begin; i < text.size(); ++i) {
      if (text[i] == '{') ++depth;
      if (text[i] == '}' && --depth == 0) return i;
    }
    fail("format: '{{' is never closed");
  }

  std::string field(std::string_view text, int depth) {
    const size_t colon = text.find_first_of(":!");
    std::string_view name = text.substr(0, colon);
    char conversion = 0;
    std::string spec;
    if (colon != std::string_view::npos) {
      size_t rest = colon;
      if (text[rest] == '!') {
        if (rest + 1 >= text.size()) fail("format: the conversion is missing after '!'");
        conversion = text[rest + 1];
        rest += 2;
        if (rest < text.size() && text[rest] != ':') fail("format: expected ':' after the conversion");
      }
      if (rest < text.size()) spec = format(text.substr(rest + 1), depth + 1);
    }
    Value value = lookup(name);
    if (conversion == 'r' || conversion == 'a') {
      value = runtime_.string(to_repr(runtime_, value));
    } else if (conversion == 's') {
      value = runtime_.string(to_text(runtime_, value));
    } else if (conversion != 0) {
      fail("format: unknown conversion '{}'", conversion);
    }
    return format_value(runtime_, value, spec);
  }

  Value lookup(std::string_view name) {
    const size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = first(name.substr(0, end));
    for (size_t i = end; i < name.size();) {
      if (name[i] == '.') {
        const size_t stop = std::min(name.find_first_of(".[", i + 1), name.size());
        if (stop == i + 1) fail("format: an attribute name is empty");
        value = get_attribute(runtime_, value, name.substr(i + 1, stop - i - 1));
        i = stop;
      } else if (name[i] == '[') {
        const size_t stop = name.find(']', i);
        if (stop == std::string_view::npos) fail("format: '[' is never closed");
        const std::string_view key = name.substr(i + 1, stop - i - 1);
        const std::optional<Int> index = is_number(key) ? parse_int(key, 10) : std::nullopt;
        value = get_item(runtime_, value, index ? Value(*index) : runtime_.string(std::string(key)));
        i = stop + 1;
      } else {
        fail("format: expected '.' or '[' after ']'");
      }
    }
    return value;
  }

  static bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  }

  Value first(std::string_view name) {
    if (name.empty()) {
      if (manual_) fail("format: numbered and automatic fields can't be mixed");
      automatic_ = true;
      return positional(next_++);
    }
    if (is_number(name)) {
      if (automatic_) fail("format: numbered and automatic fields can't be mixed");
      manual_ = true;
      return positional(parse_int(name, 10).value_or(kIntMax));
    }
    for (const auto& [key, value] : arguments_.keywords) {
      if (key == name) return value;
    }
    fail("format: no argument '{}'", name);
  }

  Value positional(Int index) const {
    if (index >= static_cast<Int>(arguments_.positional.size())) fail("format: no argument {}", index);
    return arguments_.positional[static_cast<size_t>(index)];
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  Int next_ = 0;
  bool automatic_ = false;
  bool manual_ = false;
};

/// The arguments of `%`, taken in order or by name.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& values) : runtime_(runtime), values_(values) {}

  std::string format(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size();) {
      runtime_.charge();
      if (text[i] != '%') {
        out += text[i++];
        continue;
      }
      out += conversion(text, ++i);
      runtime_.check_size(static_cast<Int>(out.size()));
    }
    // Anything that can be subscripted counts as a mapping, which may be left unread.
    const bool mapping = values_.is(Kind::kDict) || values_.is(Kind::kList) || values_.is(Kind::kRange) || values_.is_undefined();
    if (!mapping && used_ < available()) fail("'%': not all arguments were converted");
    return out;
  }

 private:
  size_t available() const { return values_.is(Kind::kTuple) ? values_.as<ListObject>().items.size() : 1; }

  Value take() {
    if (used_ >= available()) fail("'%': not enough arguments for the format string");
    const size_t index = used_++;
    return values_.is(Kind::kTuple) ? values_.as<ListObject>().items[index] : values_;
  }

  int take_number(std::string_view text, size_t& i) {
    if (i < text.size() && text[i] == '*') {
      ++i;
      const Value value = take();
      if (!value.is_integral() || value.integer() > kMaxWidth || value.integer() < -kMaxWidth) fail("'%': '*' needs an integer");
      return static_cast<int>(value.integer());
    }
    return static_cast<int>(read_number(text, i));
  }

  std::string conversion(std::string_view text, size_t& i) {
    std::optional<Value> named;
    if (i < text.size() && text[i] == '(') {
      const size_t end = text.find(')', i);
      if (end == std::string_view::npos) fail("'%': the name in parentheses is never closed");
      if (!values_.is(Kind::kDict)) fail("'%': a named field needs a dict");
      const Value* found = values_.as<DictObject>().find(text.substr(i + 1, end - i - 1));
      if (found == nullptr) fail("'%': no value named '{}'", text.substr(i + 1, end - i - 1));
      named = *found;
      i = end + 1;
    }
    Spec spec;
    bool left = false, zero = false;
    for (; i < text.size(); ++i) {
      if (text[i] == '-') {
        left = true;
      } else if (text[i] == '0') {
        zero = true;
      } else if (text[i] == '+' || (text[i] == ' ' && spec.sign != '+')) {
        spec.sign = text[i];
      } else if (text[i] == '#') {
        spec.alternate = true;
      } else if (text[i] != ' ') {
        break;
      }
    }
    spec.width = take_number(text, i);
    if (spec.width < 0) left = true, spec.width = -spec.width;
    if (i < text.size() && text[i] == '.') spec.precision = std::max(0, take_number(text, ++i));
    while (i < text.size() && (text[i] == 'h' || text[i] == 'l' || text[i] == 'L')) ++i;
    if (i >= text.size()) fail("'%': the format string ends inside a field");
    spec.type = text[i++];
    spec.align = left ? '<' : '>';
    if (spec.type == '%') return "%";
    const Value value = named ? *named : take();
    return converted(spec, value, zero && !left);
  }

  std::string converted(Spec& spec, const Value& value, bool zero) {
    const auto zero_pad = [&] {
      if (zero) spec.fill = "0", spec.align = '=';
    };
    switch (spec.type) {
      case 's':
        return pad(runtime_, spec, cut(to_text(runtime_, value), spec.precision), 0, '>');
      case 'r':
      case 'a':
        return pad(runtime_, spec, cut(to_repr(runtime_, value), spec.precision), 0, '>');
      case 'c':
        return pad(runtime_, spec, character(value), 0, '>');
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
        zero_pad();
        return integer(spec, value);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (!value.is_number()) fail("'%{}' needs a number, not {}", spec.type, type_name(value));
        zero_pad();
        return format_double(runtime_, spec, value.number());
      default:
        fail("'%': unsupported conversion '{}'", spec.type);
    }
  }

  std::string character(const Value& value) const {
    if (value.is_string() && count_code_points(value.text()) == 1) return std::string(value.text());
    if (!value.is_integral() || value.integer() < 0 || value.integer() > 0x10FFFF)
      fail("'%c' needs a code point or one character");
    const auto point = static_cast<char32_t>(value.integer());
    if (point >= 0xD800 && point <= 0xDFFF) fail("'%c': U+{:X} is a surrogate", static_cast<uint32_t>(point));
    std::string out;
    append_code_point(out, point);
    return out;
  }

  std::string integer(Spec& spec, const Value& value) {
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (decimal) spec.type = 'd';
    if (!value.is_number() || (!decimal && !value.is_integral())) {
      fail("'%{}' needs {}, not {}", spec.type, decimal ? "a number" : "an integer", type_name(value));
    }
    Int whole = value.integer();
    if (value.is(Kind::kFloat)) {
      if (!(std::fabs(value.number()) < 1e38)) fail("'%d': {} is beyond 128 bits", value.number());
      whole = static_cast<Int>(value.number());
    }
    const int digits = spec.precision;
    if (digits > static_cast<int>(int_text(whole).size())) {
      // A precision is a least number of digits: pad with zeros first, then to the width.
      Spec inner = spec;
      inner.fill = "0", inner.align = '=', inner.width = digits + (whole < 0 ? 1 : 0);
      return pad(runtime_, spec, format_integer(runtime_, inner, whole), 0, '>');
    }
    return format_integer(runtime_, spec, whole);
  }

  Runtime& runtime_;
  const Value& values_;
  size_t used_ = 0;
};

}  // namespace

std::string percent_format(Runtime& runtime, std::string_view format, const Value& values) {
  return PercentFormatter(runtime, values).format(format);
}

std::string brace_format(Runtime& runtime, std::string_view format, const Arguments& arguments) {
  return BraceFormatter(runtime, arguments).format(format, 1);
}

}  // namespace ocelli::text::jinja
