#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "ocelli/base/json.h"

namespace ocelli {

/// The values of an enumeration and what configurations call them.
template <typename Value, size_t count>
using NamedValues = std::pair<std::string_view, Value>[count];

/// The value of `key`. Throws Error naming key, value and those known.
template <typename Value, size_t count>
Value named_value(const JsonView& config, std::string_view key, const NamedValues<Value, count>& known) {
  const std::string given = config.string(key);
  std::string names;
  for (const auto& [name, value] : known) {
    if (name == given) return value;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  fail("{}.{} is \"{}\"; known are {}", config.path(), key, given, names);
}

/// The same with a default for an absent or null key.
template <typename Value, size_t count>
Value named_value(const JsonView& config, std::string_view key, const NamedValues<Value, count>& known, Value fallback) {
  return config.has(key) ? named_value(config, key, known) : fallback;
}

/// The name of a value of the table.
template <typename Value, size_t count>
std::string_view name_of(Value wanted, const NamedValues<Value, count>& known) {
  for (const auto& [name, value] : known) {
    if (value == wanted) return name;
  }
  return {};
}

}  // namespace ocelli
