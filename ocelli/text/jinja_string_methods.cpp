#include <algorithm>
#include <cstring>

#include "ocelli/text/jinja_arguments.h"
#include "ocelli/text/jinja_operations.h"
#include "ocelli/text/jinja_text.h"

namespace ocelli::text::jinja {
namespace {

using Method = Value (*)(Runtime&, std::string_view, const Arguments&);

/// A method of a string. Its text results are Markup when the string is.
class StringMethod final : public CallableObject {
 public:
  StringMethod(std::string_view name, const Value& self, Method method) : name_(name), self_(self), method_(method) {}
  Value call(Runtime& runtime, const Arguments& arguments) override {
    runtime.charge_scan(self_.text().size());
    const Value result = method_(runtime, self_.text(), arguments);
    if (result.is_string() && self_.as<StringObject>().markup) result.as<StringObject>().markup = true;
    return result;
  }
  std::string_view name() const override { return name_; }

 private:
  std::string_view name_;
  Value self_;
  Method method_;
};

/// The bytes between two code point indexes, as the optional start and stop of find(), count(), startswith() say.
struct Span {
  size_t begin = 0;
  size_t end = 0;
  bool valid = true;  ///< false when start lies past stop or the text
};

Span span_of(std::string_view text, const Bound& bound, size_t first) {
  if (!bound.is_set(first) && !bound.is_set(first + 1)) return {0, text.size(), true};
  const auto size = static_cast<Int>(count_code_points(text));
  const auto place = [&](size_t index, Int fallback) {
    const Int value = bound.is_set(index) ? bound.integer(index, 0) : fallback;
    return std::max<Int>(value < 0 ? value + size : value, 0);
  };
  const Int start = place(first, 0);
  const Int stop = std::min(place(first + 1, size), size);
  if (start > stop) return {0, 0, false};
  return {offset_of_code_point(text, static_cast<size_t>(start)), offset_of_code_point(text, static_cast<size_t>(stop)), true};
}

/// string_view::rfind compares the part at every place: time in the product of both sizes, at worst.
void charge_backward_search(Runtime& runtime, std::string_view text, std::string_view part) {
  runtime.charge(static_cast<int64_t>(text.size() / 64 * (part.size() / 64 + 1)));
}

Int find_index(Runtime& runtime, std::string_view text, const Arguments& arguments, std::string_view name, bool last) {
  const Bound bound(name, arguments, {"/sub", "/start", "/end"}, 1);
  const std::string_view part = bound.text(0, {});
  const Span span = span_of(text, bound, 1);
  if (!span.valid) return -1;
  const std::string_view within = text.substr(span.begin, span.end - span.begin);
  if (last) charge_backward_search(runtime, within, part);
  const size_t found = last ? within.rfind(part) : find_text(within, part, 0);
  return found == std::string_view::npos ? -1 : static_cast<Int>(count_code_points(text.substr(0, span.begin + found)));
}

Value find(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return Value(find_index(runtime, text, arguments, "find()", false));
}
Value rfind(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return Value(find_index(runtime, text, arguments, "rfind()", true));
}
Value index(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Int found = find_index(runtime, text, arguments, "index()", false);
  if (found < 0) fail("index(): the substring isn't there");
  return Value(found);
}
Value rindex(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Int found = find_index(runtime, text, arguments, "rindex()", true);
  if (found < 0) fail("rindex(): the substring isn't there");
  return Value(found);
}

Value count(Runtime&, std::string_view text, const Arguments& arguments) {
  const Bound bound("count()", arguments, {"/sub", "/start", "/end"}, 1);
  const std::string_view part = bound.text(0, {});
  const Span span = span_of(text, bound, 1);
  if (!span.valid) return Value(Int{0});
  const std::string_view within = text.substr(span.begin, span.end - span.begin);
  if (part.empty()) return Value(static_cast<Int>(count_code_points(within)) + 1);
  Int found = 0;
  for (size_t at = 0; (at = find_text(within, part, at)) != std::string_view::npos; at += part.size()) ++found;
  return Value(found);
}

template <typename Test>
Value any_affix(std::string_view name, std::string_view text, const Arguments& arguments, Test test) {
  const Bound bound(name, arguments, {"/affix", "/start", "/end"}, 1);
  const Span span = span_of(text, bound, 1);
  const std::string_view within = span.valid ? text.substr(span.begin, span.end - span.begin) : std::string_view();
  const auto matches = [&](const Value& affix) {
    if (!affix.is_string()) fail("{} takes a string or a tuple of strings, not {}", name, type_name(affix));
    return span.valid && test(within, affix.text());
  };
  if (!bound[0]->is(Kind::kTuple)) return Value(matches(*bound[0]));
  for (const Value& affix : bound[0]->as<ListObject>().items) {
    if (matches(affix)) return Value(true);
  }
  return Value(false);
}

Value startswith(Runtime&, std::string_view text, const Arguments& arguments) {
  return any_affix("startswith()", text, arguments, [](std::string_view t, std::string_view a) { return t.starts_with(a); });
}
Value endswith(Runtime&, std::string_view text, const Arguments& arguments) {
  return any_affix("endswith()", text, arguments, [](std::string_view t, std::string_view a) { return t.ends_with(a); });
}

Value strip_with(Runtime& runtime, std::string_view name, std::string_view text, const Arguments& arguments, bool left,
                 bool right) {
  const Bound bound(name, arguments, {"/chars"});
  if (bound.is_set(0)) {
    const std::string_view characters = bound.text(0, {});
    runtime.charge(static_cast<int64_t>(text.size() / 64 * (characters.size() + 1)));
    if (left) text = strip_left(text, characters);
    if (right) text = strip_right(text, characters);
  } else {
    if (left) text = strip_left(text);
    if (right) text = strip_right(text);
  }
  return runtime.string(std::string(text));
}

Value strip(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return strip_with(runtime, "strip()", text, arguments, true, true);
}
Value lstrip(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return strip_with(runtime, "lstrip()", text, arguments, true, false);
}
Value rstrip(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return strip_with(runtime, "rstrip()", text, arguments, false, true);
}

Value split_with(Runtime& runtime, std::string_view name, std::string_view text, const Arguments& arguments, bool from_right) {
  const Bound bound(name, arguments, {"sep", "maxsplit"});
  const Int limit = bound.integer(1, -1);
  std::vector<std::string_view> parts;
  if (bound.is_set(0)) {
    const std::string_view separator = bound.text(0, {});
    if (separator.empty()) fail("{}: the separator is empty", name);
    if (from_right) charge_backward_search(runtime, text, separator);
    parts = from_right ? split_right(text, separator, limit) : split_left(text, separator, limit);
  } else {
    parts = from_right ? split_spaces_right(text, limit) : split_spaces(text, limit);
  }
  Values items;
  for (const std::string_view part : parts) {
    runtime.charge();
    items.push_back(runtime.string(std::string(part)));
  }
  return runtime.list(std::move(items));
}

Value split(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return split_with(runtime, "split()", text, arguments, false);
}
Value rsplit(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return split_with(runtime, "rsplit()", text, arguments, true);
}

Value splitlines(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound bound("splitlines()", arguments, {"keepends"});
  Values items;
  for (const std::string_view line : split_lines(text, bound.truth(runtime, 0, false))) {
    runtime.charge();
    items.push_back(runtime.string(std::string(line)));
  }
  return runtime.list(std::move(items));
}

Value partition_at(Runtime& runtime, std::string_view text, size_t found, std::string_view separator, bool from_right) {
  const auto make = [&](std::string_view part) { return runtime.string(std::string(part)); };
  if (found == std::string_view::npos) {
    return from_right ? runtime.tuple({make(""), make(""), make(text)}) : runtime.tuple({make(text), make(""), make("")});
  }
  return runtime.tuple({make(text.substr(0, found)), make(separator), make(text.substr(found + separator.size()))});
}

Value partition(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound bound("partition()", arguments, {"/sep"}, 1);
  const std::string_view separator = bound.text(0, {});
  if (separator.empty()) fail("partition(): the separator is empty");
  return partition_at(runtime, text, find_text(text, separator, 0), separator, false);
}
Value rpartition(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound bound("rpartition()", arguments, {"/sep"}, 1);
  const std::string_view separator = bound.text(0, {});
  if (separator.empty()) fail("rpartition(): the separator is empty");
  charge_backward_search(runtime, text, separator);
  return partition_at(runtime, text, text.rfind(separator), separator, true);
}

Value replace(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound bound("replace()", arguments, {"/old", "/new", "/count"}, 2);
  return runtime.string(replace_text(runtime, text, bound.text(0, {}), bound.text(1, {}), bound.integer(2, -1)));
}

Value join(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound bound("join()", arguments, {"/iterable"}, 1);
  std::string out;
  bool first = true;
  IteratorObject& items = iterate(runtime, *bound[0]);
  for (Value item; items.next(runtime, item); first = false) {
    if (!item.is_string()) fail("join() takes strings, not {}", type_name(item));
    if (!first) out += text;
    append_text(runtime, item, out);
  }
  return runtime.string(std::move(out));
}

Value justify(Runtime& runtime, std::string_view name, std::string_view text, const Arguments& arguments, char align) {
  const Bound bound(name, arguments, {"/width", "/fillchar"}, 1);
  const std::string_view fill = bound.text(1, " ");
  if (count_code_points(fill) != 1) fail("{}: the fill character must be one character", name);
  return runtime.string(justify_text(runtime, text, bound.integer(0, 0), fill, align));
}
Value center(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return justify(runtime, "center()", text, arguments, '^');
}
Value ljust(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return justify(runtime, "ljust()", text, arguments, '<');
}
Value rjust(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return justify(runtime, "rjust()", text, arguments, '>');
}
Value zfill(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound bound("zfill()", arguments, {"/width"}, 1);
  const bool is_signed = !text.empty() && (text[0] == '+' || text[0] == '-');
  const std::string_view digits = is_signed ? text.substr(1) : text;
  const std::string padded = justify_text(runtime, digits, bound.integer(0, 0) - (is_signed ? 1 : 0), "0", '>');
  return runtime.string(std::string(text.substr(0, is_signed ? 1 : 0)) + padded);
}

Value removeprefix(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound bound("removeprefix()", arguments, {"/prefix"}, 1);
  const std::string_view prefix = bound.text(0, {});
  return runtime.string(std::string(text.starts_with(prefix) ? text.substr(prefix.size()) : text));
}
Value removesuffix(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound bound("removesuffix()", arguments, {"/suffix"}, 1);
  const std::string_view suffix = bound.text(0, {});
  return runtime.string(std::string(text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text));
}

Value format(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  return runtime.string(brace_format(runtime, text, arguments));
}
Value format_map(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound bound("format_map()", arguments, {"/mapping"}, 1);
  if (!bound[0]->is(Kind::kDict)) fail("format_map() takes a dict, not {}", type_name(*bound[0]));
  Arguments named;
  for (const auto& [key, value] : bound[0]->as<DictObject>().items) {
    if (key.is_string()) named.keywords.emplace_back(key.text(), value);
  }
  return runtime.string(brace_format(runtime, text, named));
}

template <std::string (*Change)(std::string_view)>
Value changed(Runtime& runtime, std::string_view text, const Arguments& arguments) {
  const Bound none("the method", arguments, {});
  return runtime.string(Change(text));
}

template <bool (*Test)(std::string_view)>
Value tested(Runtime&, std::string_view text, const Arguments& arguments) {
  const Bound none("the method", arguments, {});
  return Value(Test(text));
}

template <typename Test>
bool all_of(std::string_view text, Test test) {
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    if (!test(point.value)) return false;
    offset += point.bytes;
  }
  return true;
}

template <bool (*Test)(char32_t)>
bool non_empty_all(std::string_view text) {
  return !text.empty() && all_of(text, Test);
}
bool is_alnum(char32_t value) {
  return is_alpha(value) || is_decimal(value) || is_digit(value) || is_numeric(value);
}
bool all_printable(std::string_view text) {
  return all_of(text, is_printable);
}
bool all_ascii(std::string_view text) {
  return all_of(text, [](char32_t value) { return value < 0x80; });
}
bool is_identifier(std::string_view text) {
  return non_empty_all<is_identifier_part>(text) && !is_decimal(code_point_at(text, 0).value);
}

struct Entry {
  std::string_view name;
  Method method;
};

constexpr Entry kMethods[] = {
    {"capitalize", changed<to_capitalized>},
    {"casefold", changed<to_lower>},
    {"center", center},
    {"count", count},
    {"endswith", endswith},
    {"find", find},
    {"format", format},
    {"format_map", format_map},
    {"index", index},
    {"isalnum", tested<non_empty_all<is_alnum>>},
    {"isalpha", tested<non_empty_all<is_alpha>>},
    {"isascii", tested<all_ascii>},
    {"isdecimal", tested<non_empty_all<is_decimal>>},
    {"isdigit", tested<non_empty_all<is_digit>>},
    {"isidentifier", tested<is_identifier>},
    {"islower", tested<is_lower>},
    {"isnumeric", tested<non_empty_all<is_numeric>>},
    {"isprintable", tested<all_printable>},
    {"isspace", tested<non_empty_all<is_space>>},
    {"istitle", tested<is_title>},
    {"isupper", tested<is_upper>},
    {"join", join},
    {"ljust", ljust},
    {"lower", changed<to_lower>},
    {"lstrip", lstrip},
    {"partition", partition},
    {"removeprefix", removeprefix},
    {"removesuffix", removesuffix},
    {"replace", replace},
    {"rfind", rfind},
    {"rindex", rindex},
    {"rjust", rjust},
    {"rpartition", rpartition},
    {"rsplit", rsplit},
    {"rstrip", rstrip},
    {"split", split},
    {"splitlines", splitlines},
    {"startswith", startswith},
    {"strip", strip},
    {"swapcase", changed<to_swapped_case>},
    {"title", changed<to_title>},
    {"upper", changed<to_upper>},
    {"zfill", zfill},
};

}  // namespace

std::optional<Value> string_method(Runtime& runtime, const Value& text, std::string_view name) {
  for (const Entry& entry : kMethods) {
    if (entry.name == name) return Value(Kind::kCallable, runtime.make<StringMethod>(entry.name, text, entry.method));
  }
  return std::nullopt;
}

}  // namespace ocelli::text::jinja
