#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ocelli/text/jinja_runtime.h"

/// Python's cutting and joining of text, shared by string methods and filters.
namespace ocelli::text::jinja {

/// Like string_view::find, in linear time.
size_t find_text(std::string_view text, std::string_view part, size_t from);

/// `str.split(separator, limit)` and `rsplit`; a negative limit is none. Parts lie in `text`.
/// From the right, hostile text takes time quadratic in the separator: charge for that before.
std::vector<std::string_view> split_left(std::string_view text, std::string_view separator, Int limit);
std::vector<std::string_view> split_right(std::string_view text, std::string_view separator, Int limit);
/// The same at runs of whitespace.
std::vector<std::string_view> split_spaces(std::string_view text, Int limit);
std::vector<std::string_view> split_spaces_right(std::string_view text, Int limit);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

/// `str.replace(part, with, limit)`.
std::string replace_text(Runtime& runtime, std::string_view text, std::string_view part, std::string_view with, Int limit);
/// `str.ljust`, `rjust` and `center`: align is '<', '>' or '^'.
std::string justify_text(Runtime& runtime, std::string_view text, Int width, std::string_view fill, char align);

}  // namespace ocelli::text::jinja
