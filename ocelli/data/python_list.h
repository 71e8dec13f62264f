#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ocelli::data {

/// Whether text looks like Python's list of strings: it starts with `['` or `["`, or is `[]`.
bool is_python_list(std::string_view text);

/// The strings of `['a', "b\'s"]`, as tables of VLMEvalKit hold several answers or pictures in a cell. Nothing is evaluated: a
/// closed grammar of quoted strings with Python's escapes, a comma between. Throws Error starting with `where` that names the
/// byte.
std::vector<std::string> read_python_list(std::string_view text, const std::string& where);

/// The list as Python writes it, `['a', "b's"]`.
std::string write_python_list(const std::vector<std::string>& texts);

}  // namespace ocelli::data
