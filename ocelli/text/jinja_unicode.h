#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// Python's view of text over UTF-8: what `str` counts, strips and recases.
namespace ocelli::text::jinja {

/// One code point read from UTF-8. A byte that starts no valid sequence is a code point of its own,
/// 0xDC80 to 0xDCFF, which append_code_point() writes back as that byte: no text is lost or refused.
struct CodePoint {
  char32_t value;
  size_t bytes;
};

/// Reads the code point at `offset`, which must lie inside `text`.
CodePoint code_point_at(std::string_view text, size_t offset);
void append_code_point(std::string& out, char32_t value);

size_t count_code_points(std::string_view text);
/// Byte offset of code point `index`, or text.size() when there are fewer.
size_t offset_of_code_point(std::string_view text, size_t index);
/// Offset of the code point that ends at `end` (> 0).
size_t previous_code_point(std::string_view text, size_t end);

bool is_space(char32_t value);      ///< what `str.strip()` strips
bool is_printable(char32_t value);  ///< what `repr` leaves unescaped
bool is_alpha(char32_t value);
bool is_decimal(char32_t value);
bool is_digit(char32_t value);
bool is_numeric(char32_t value);
bool is_identifier_part(char32_t value);

/// Bytes of the whitespace character at `offset`, 0 when there is none.
size_t space_bytes_at(std::string_view text, size_t offset);
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
/// The same for a set of code points, given as text.
std::string_view strip_left(std::string_view text, std::string_view characters);
std::string_view strip_right(std::string_view text, std::string_view characters);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);        ///< `str.title()`
std::string to_capitalized(std::string_view text);  ///< `str.capitalize()`
std::string to_swapped_case(std::string_view text);
/// `str.isupper()` and `str.islower()`: at least one cased character, and none of the other case.
bool is_upper(std::string_view text);
bool is_lower(std::string_view text);
bool is_title(std::string_view text);

}  // namespace ocelli::text::jinja
