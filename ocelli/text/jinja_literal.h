#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ocelli/text/jinja_lexer.h"

/// Numbers and strings as Python writes them.
namespace ocelli::text::jinja {

/// End of the float literal (digits with single underscores, and a fraction or an exponent) that starts at `offset`; 0 if none.
size_t scan_float(std::string_view text, size_t offset);
/// End of the integer literal (decimal, 0b, 0o, 0x) that starts at `offset`; 0 if none.
size_t scan_integer(std::string_view text, size_t offset);

double parse_float_literal(std::string_view literal);
/// Nothing when the value needs more than 128 bits.
std::optional<Int> parse_integer_literal(std::string_view literal);

/// What `int(text, base)` and `float(text)` accept; nothing where they raise ValueError.
std::optional<Int> parse_int(std::string_view text, int base);
std::optional<double> parse_float(std::string_view text);

/// A string literal's body with its escapes replaced, as Python's unicode-escape codec does.
/// Throws Error at `at` on a broken escape, a surrogate (which UTF-8 can't hold) or \N{name}.
std::string unescape_string(std::string_view body, Position at);

std::string int_text(Int value);
/// Shortest text that reads back as the same double, in Python's layout: `1.0`, `1e-05`, `1e+16`, `inf`, `nan`.
std::string float_text(double value);
/// Correctly rounded to `digits` decimals, as `%.*f` does.
std::string fixed_text(double value, int digits);

}  // namespace ocelli::text::jinja
