#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/text/jinja_unicode.h"

namespace ocelli::text::jinja {

/// Python's integers, as far as 128 bits reach; beyond, operations are errors.
__extension__ typedef __int128 Int;
constexpr Int kIntMax = ((static_cast<Int>(1) << 126) - 1) * 2 + 1;

/// Where something stands in a template's source, both counted from 1, columns in characters.
struct Position {
  int line = 1;
  int column = 1;
};

/// What a message quotes may be as long as the template: cuts it where a character ends, at 4 KiB.
std::string shortened(std::string message);

/// Throws Error `chat template, line 3, column 7: …`.
template <typename... Args>
[[noreturn]] void fail_at(Position at, fmt::format_string<Args...> format, Args&&... args) {
  fail("chat template, line {}, column {}: {}", at.line, at.column, shortened(fmt::format(format, std::forward<Args>(args)...)));
}

enum class TokenKind {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  ///< data, name, unescaped string or operator
  Int integer = 0;
  double number = 0;
  Position at;

  bool is_operator(std::string_view value) const { return kind == TokenKind::kOperator && text == value; }
  bool is_name(std::string_view value) const { return kind == TokenKind::kName && text == value; }
};

/// Cuts a template as jinja2.lexer does with trim_blocks and lstrip_blocks set: comments are gone, raw blocks are
/// data, line ends are "\n", and one line end at the very end is dropped. The last token is kEnd.
/// Throws Error naming line and column on text that is no token, unbalanced brackets, unclosed comments or raw blocks.
std::vector<Token> tokenize(std::string_view source);

/// What to call a token in a message.
std::string describe(const Token& token);

}  // namespace ocelli::text::jinja
