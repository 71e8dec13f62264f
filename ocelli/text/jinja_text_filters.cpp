#include <algorithm>
#include <cmath>

#include "ocelli/text/jinja_arguments.h"
#include "ocelli/text/jinja_filters.h"
#include "ocelli/text/jinja_literal.h"
#include "ocelli/text/jinja_operations.h"
#include "ocelli/text/jinja_text.h"

namespace ocelli::text::jinja::filters {
namespace {

bool is_markup(const Value& value) {
  return value.is_string() && value.as<StringObject>().markup;
}

/// soft_str(): Markup stays what it is.
Value soft_string(Runtime& runtime, const Value& value) {
  return value.is_string() ? value : runtime.string(to_text(runtime, value));
}

/// A text function as a filter without arguments.
Value changed(Runtime& runtime, std::string_view name, const Value& input, const Arguments& arguments,
              std::string (*change)(std::string_view)) {
  const Bound none(name, arguments, {});
  const Value text = soft_string(runtime, input);
  runtime.charge_scan(text.text().size());
  return runtime.string(change(text.text()), is_markup(text));
}

bool is_title_break(char32_t value) {
  return value == U'-' || value == U'(' || value == U'{' || value == U'[' || value == U'<' || is_space(value);
}

/// Unlike str.title(), a word starts only behind space, a dash or an opening bracket.
std::string title_words(std::string_view text) {
  std::string out;
  for (size_t offset = 0; offset < text.size();) {
    size_t end = offset;
    const bool breaks = is_title_break(code_point_at(text, offset).value);
    while (end < text.size() && is_title_break(code_point_at(text, end).value) == breaks) end += code_point_at(text, end).bytes;
    const size_t head = offset + code_point_at(text, offset).bytes;
    out += to_upper(text.substr(offset, head - offset)) + to_lower(text.substr(head, end - head));
    offset = end;
  }
  return out;
}

bool is_word(char32_t value) {
  return value == U'_' || is_alpha(value) || is_decimal(value) || is_digit(value) || is_numeric(value);
}

std::optional<Int> truncated(double value) {
  if (!(std::fabs(value) < 1.7e38)) return std::nullopt;
  return static_cast<Int>(value);
}

double round_to(double value, Int digits) {
  if (!std::isfinite(value) || digits > 330) return value;
  if (digits >= 0) return *parse_float(fixed_text(value, static_cast<int>(digits)));
  if (digits < -330) return std::copysign(0.0, value);
  const double power = std::pow(10.0, static_cast<double>(-digits));
  return std::isinf(power) ? std::copysign(0.0, value) : std::nearbyint(value / power) * power;
}

Int round_integer(Int value, Int digits) {
  if (digits >= 0) return value;
  if (digits < -38) return 0;
  Int power = 1;
  for (Int i = 0; i > digits; --i) power *= 10;
  // To the nearest multiple, ties to the even one.
  const Int rest = ((value % power) + power) % power;
  const Int low = value - rest;
  const bool up = rest > power - rest || (rest == power - rest && low / power % 2 != 0);
  return up ? low + power : low;
}

}  // namespace

Value upper(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return changed(runtime, "upper", input, arguments, to_upper);
}
Value lower(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return changed(runtime, "lower", input, arguments, to_lower);
}
Value capitalize(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return changed(runtime, "capitalize", input, arguments, to_capitalized);
}
Value title(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return runtime.string(std::string(changed(runtime, "title", input, arguments, title_words).text()));
}

Value trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  const Value text = soft_string(runtime, input);
  runtime.charge_scan(text.text().size());
  std::string_view out = text.text();
  if (bound.is_set(0)) {
    const std::string_view characters = bound.text(0, {});
    runtime.charge(static_cast<int64_t>(out.size() / 64 * (characters.size() + 1)));
    out = strip_right(strip_left(out, characters), characters);
  } else {
    out = strip_right(strip_left(out));
  }
  return runtime.string(std::string(out), is_markup(text));
}

Value string(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("string", arguments, {});
  return soft_string(runtime, input);
}

Value replace(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  const std::string text = to_text(runtime, input);
  return runtime.string(replace_text(runtime, text, to_text(runtime, *bound[0]), to_text(runtime, *bound[1]),
                                     bound.is_set(2) ? bound.integer(2, -1) : -1));
}

Value indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  if (input.is_undefined()) fail("{}", input.as<UndefinedObject>().message);
  if (!input.is_string()) fail("indent takes a string, not {}", type_name(input));
  std::string indention(4, ' ');
  if (bound.has(0) && bound[0]->is_string()) {
    indention = bound.text(0, {});
  } else {
    const Int width = std::max<Int>(bound.integer(0, 4), 0);
    runtime.check_size(width);
    indention.assign(static_cast<size_t>(width), ' ');
  }
  const bool blank = bound.truth(runtime, 2, false);
  const std::string text = std::string(input.text()) + "\n";
  runtime.charge_scan(text.size());
  std::string out = bound.truth(runtime, 1, false) ? indention : "";
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!first) out += '\n';
    if (!first && (blank || !line.empty())) out += indention;
    out += line;
    runtime.charge_scan(indention.size());
    runtime.check_size(static_cast<Int>(out.size()));
    first = false;
  }
  return runtime.string(std::move(out), is_markup(input));
}

Value center(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  return runtime.string(justify_text(runtime, soft_string(runtime, input).text(), bound.integer(0, 80), " ", '^'));
}

Value truncate(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const std::string_view end = bound.text(2, "...");
  const Int size = bound.integer(0, 255);
  const Int leeway = bound.is_set(3) ? bound.integer(3, 5) : 5;
  const auto end_size = static_cast<Int>(count_code_points(end));
  if (size < end_size || leeway < 0) fail("truncate: the length must be at least that of '{}', and leeway no less than 0", end);
  if (jinja::length(runtime, input) <= size + leeway) return input;  // whatever it is
  if (!input.is_string()) fail("truncate takes a string, not {}", type_name(input));
  const std::string_view text = input.text();
  std::string_view out = text.substr(0, offset_of_code_point(text, static_cast<size_t>(size - end_size)));
  if (!bound.truth(runtime, 1, false)) out = out.substr(0, out.rfind(' '));
  return runtime.string(std::string(out) + std::string(end));
}

Value wordcount(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("wordcount", arguments, {});
  const Value text = soft_string(runtime, input);
  runtime.charge_scan(text.text().size());
  Int count = 0;
  bool inside = false;
  for (size_t offset = 0; offset < text.text().size();) {
    const CodePoint point = code_point_at(text.text(), offset);
    if (is_word(point.value) && !inside) ++count;
    inside = is_word(point.value);
    offset += point.bytes;
  }
  return Value(count);
}

Value format(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.keywords.empty())
    fail("format takes positional or keyword arguments, not both");
  const Value text = soft_string(runtime, input);
  if (arguments.keywords.empty()) {
    return runtime.string(percent_format(runtime, text.text(), runtime.tuple(arguments.positional)));
  }
  auto* dict = runtime.make<DictObject>();
  for (const auto& [name, value] : arguments.keywords) dict->set(runtime, runtime.view(name), value);
  return runtime.string(percent_format(runtime, text.text(), Value(Kind::kDict, dict)));
}

Value safe(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("safe", arguments, {});
  return is_markup(input) ? input : runtime.string(to_text(runtime, input), true);
}

Value escape(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("escape", arguments, {});
  return is_markup(input) ? input : runtime.string(escape_html(to_text(runtime, input)), true);
}

Value forceescape(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("forceescape", arguments, {});
  return runtime.string(escape_html(to_text(runtime, input)), true);
}

Value tojson(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.truth(runtime, 0, false);
  style.sort_keys = bound.truth(runtime, 3, false);
  if (bound.is_set(1)) {
    style.item_separator = ",";
    if (bound[1]->is_string()) {
      style.indent = std::string(bound.text(1, {}));
    } else {
      const Int width = std::max<Int>(bound.integer(1, 0), 0);
      runtime.check_size(width);
      style.indent = std::string(static_cast<size_t>(width), ' ');
    }
  }
  if (bound.is_set(2)) {
    const Values separators = collect(runtime, *bound[2]);
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      fail("tojson: separators must be two strings");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return runtime.string(to_json(runtime, input, style));
}

Value abs(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("abs", arguments, {});
  if (input.is_integral()) return Value(input.integer() < 0 ? -input.integer() : input.integer());
  if (input.is(Kind::kFloat)) return Value(std::fabs(input.number()));
  fail("abs takes a number, not {}", type_name(input));
}

Value int_value(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  const Value fallback = bound.has(0) ? *bound[0] : Value(Int{0});
  if (input.is_undefined()) fail("{}", input.as<UndefinedObject>().message);
  if (input.is_integral()) return Value(input.integer());
  std::optional<double> number;
  if (input.is(Kind::kFloat)) {
    if (std::isinf(input.number())) fail("int: infinity is no integer");
    number = input.number();
  } else if (input.is_string()) {
    runtime.charge_scan(input.text().size());
    const Int base = bound.integer(1, 10);
    const bool valid = base == 0 || (base >= 2 && base <= 36);
    if (const auto whole = valid ? parse_int(input.text(), static_cast<int>(base)) : std::nullopt) return Value(*whole);
    number = parse_float(input.text());
  }
  if (!number || !std::isfinite(*number)) return fallback;
  const std::optional<Int> whole = truncated(*number);
  if (!whole) fail("int: {} is beyond 128 bits", float_text(*number));
  return Value(*whole);
}

Value float_value(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  if (input.is_undefined()) fail("{}", input.as<UndefinedObject>().message);
  if (input.is_number()) return Value(input.number());
  if (input.is_string()) {
    runtime.charge_scan(input.text().size());
    if (const auto number = parse_float(input.text())) return Value(*number);
  }
  return bound.has(0) ? *bound[0] : Value(0.0);
}

Value round(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const std::string_view method = bound.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor") fail("round: method must be common, ceil or floor");
  if (input.is_undefined()) fail("{}", input.as<UndefinedObject>().message);
  if (!input.is_number()) fail("round takes a number, not {}", type_name(input));
  const Int digits = bound.integer(0, 0);
  if (method == "common") {
    return input.is_integral() ? Value(round_integer(input.integer(), digits)) : Value(round_to(input.number(), digits));
  }
  const double power = std::pow(10.0, static_cast<double>(digits));
  const double scaled = input.number() * power;
  if (!std::isfinite(scaled) || power == 0) fail("round: {} digits are out of range", digits);
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / power);
}

}  // namespace ocelli::text::jinja::filters
