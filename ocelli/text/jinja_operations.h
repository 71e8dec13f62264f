#pragma once

#include <optional>

#include "ocelli/text/jinja_runtime.h"

namespace ocelli::text::jinja {

enum class Operator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };

/// Python's arithmetic, and its `+`, `*` and `%` on text and lists. Throws Error where Python raises, and on integers
/// beyond 128 bits.
Value binary(Runtime& runtime, Operator op, const Value& left, const Value& right);
Value negate(Runtime& runtime, const Value& value);

/// markupsafe.escape().
std::string escape_html(std::string_view text);

/// `environment.getattr(object, name)`: the attribute, else the item, else undefined. What the immutable sandbox
/// forbids (methods that modify, names with a leading underscore) is undefined too.
Value get_attribute(Runtime& runtime, const Value& object, std::string_view name);
/// The attribute alone, nothing when the object has none.
std::optional<Value> find_attribute(Runtime& runtime, const Value& object, std::string_view name);
/// `environment.getitem(object, key)`: the item, else the attribute, else undefined.
Value get_item(Runtime& runtime, const Value& object, const Value& key);
/// `object[start:stop:step]`; none where a part is left out.
Value get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop, const Value& step);
/// A method of str, or undefined's empty optional. The value is callable and bound to `text`.
std::optional<Value> string_method(Runtime& runtime, const Value& text, std::string_view name);

/// `format % values` and `format.format(*args, **kwargs)`.
std::string percent_format(Runtime& runtime, std::string_view format, const Value& values);
std::string brace_format(Runtime& runtime, std::string_view format, const Arguments& arguments);

/// Calls a value; throws Error when it isn't callable.
Value call(Runtime& runtime, const Value& callee, const Arguments& arguments);

/// A variable of the template out of JSON. Strings are views: `json` must outlive the rendering.
Value from_json(Runtime& runtime, const OrderedJson& json);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  ///< one level's; none: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
/// json.dumps(); throws Error on what it can't serialize.
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace ocelli::text::jinja
