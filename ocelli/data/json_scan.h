#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::data {

/// Finds places in large JSON without building it: brackets and strings alone matter, what is found is parsed in full later. Of
/// text that isn't JSON they find nothing, or something that the parser refuses.

/// The text of the value of `key` in the object that `object` is, not in objects below it. Keys written with escapes aren't
/// found.
std::optional<std::string_view> find_value(std::string_view object, std::string_view key);

/// The texts of the objects in the array under `key` of a file's object. Throws Error naming `file` when there is no such array.
std::vector<std::string_view> find_records(std::string_view object, std::string_view key, const std::string& file);

/// The integer under `key`. Throws Error starting with `where` when there is none.
int64_t find_integer(std::string_view object, std::string_view key, const std::string& where);

}  // namespace ocelli::data
