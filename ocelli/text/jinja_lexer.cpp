#include "ocelli/text/jinja_lexer.h"

#include <optional>

#include "ocelli/text/jinja_literal.h"

namespace ocelli::text::jinja {
namespace {

std::string normalize_line_ends(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                           "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_line_ends(source)), text_(source_) {}

  std::vector<Token> run() {
    while (offset_ < text_.size()) lex_root();
    add(TokenKind::kEnd, {}, offset_);
    return std::move(tokens_);
  }

 private:
  bool starts_with(size_t offset, std::string_view prefix) const { return text_.substr(offset, prefix.size()) == prefix; }

  size_t skip_space(size_t offset) const {
    while (const size_t bytes = space_bytes_at(text_, offset)) offset += bytes;
    return offset;
  }

  /// Positions are asked for in rising order, so that all of them cost one pass.
  Position position(size_t offset) {
    while (measured_ < offset && measured_ < text_.size()) {
      if (text_[measured_] == '\n') {
        ++at_.line;
        at_.column = 1;
        ++measured_;
      } else {
        measured_ += code_point_at(text_, measured_).bytes;
        ++at_.column;
      }
    }
    return at_;
  }

  Token& add(TokenKind kind, std::string text, size_t offset) {
    Token token;
    token.kind = kind;
    token.text = std::move(text);
    token.at = position(offset);
    tokens_.push_back(std::move(token));
    return tokens_.back();
  }

  /// Data before a tag at `tag`, with what its sign and lstrip_blocks take away.
  void add_data(size_t tag, char sign, bool is_variable) {
    std::string_view data = text_.substr(offset_, tag - offset_);
    if (sign == '-') {
      data = strip_right(data);
    } else if (sign != '+' && !is_variable) {
      const size_t newline = data.rfind('\n');
      const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line > 0 || line_starting_) && strip_left(data.substr(line)).empty()) data = data.substr(0, line);
    }
    if (!data.empty()) add(TokenKind::kData, std::string(data), offset_);
  }

  char sign_at(size_t offset) const {
    return offset < text_.size() && (text_[offset] == '-' || text_[offset] == '+') ? text_[offset] : '\0';
  }

  /// End of a block or comment tag at `offset`: "+%}", "-%}" and the space behind it, or "%}" and one line end.
  /// Returns 0 when none stands there.
  size_t block_end(size_t offset, std::string_view close) const {
    if (starts_with(offset, "+") && starts_with(offset + 1, close)) return offset + 3;
    if (starts_with(offset, "-") && starts_with(offset + 1, close)) return skip_space(offset + 3);
    if (!starts_with(offset, close)) return 0;
    return starts_with(offset + 2, "\n") ? offset + 3 : offset + 2;
  }

  void move_to(size_t end) {
    line_starting_ = end > 0 && text_[end - 1] == '\n';
    offset_ = end;
  }

  void lex_root() {
    size_t tag = offset_;
    while ((tag = text_.find('{', tag)) != std::string_view::npos) {
      if (starts_with(tag + 1, "%") || starts_with(tag + 1, "{") || starts_with(tag + 1, "#")) break;
      ++tag;
    }
    if (tag == std::string_view::npos) {
      add(TokenKind::kData, std::string(text_.substr(offset_)), offset_);
      offset_ = text_.size();
      return;
    }
    const char type = text_[tag + 1];
    const char sign = sign_at(tag + 2);
    const size_t inside = tag + 2 + (sign != '\0' ? 1 : 0);
    add_data(tag, sign, type == '{');
    if (type == '#') {
      lex_comment(tag, inside);
    } else if (type == '{') {
      add(TokenKind::kVariableBegin, "{{", tag);
      move_to(inside);
      lex_tag(false);
    } else if (const size_t body = raw_begin(inside)) {
      move_to(body);
      lex_raw(tag);
    } else {
      add(TokenKind::kBlockBegin, "{%", tag);
      move_to(inside);
      lex_tag(true);
    }
  }

  void lex_comment(size_t tag, size_t inside) {
    for (size_t hash = inside; (hash = text_.find('#', hash)) != std::string_view::npos; ++hash) {
      if (!starts_with(hash, "#}")) continue;
      const bool is_signed = hash > inside && (text_[hash - 1] == '-' || text_[hash - 1] == '+');
      move_to(block_end(is_signed ? hash - 1 : hash, "#}"));
      return;
    }
    fail_at(position(tag), "the comment is never closed; end it with #}}");
  }

  /// Where the body of a raw block starts, when `inside` a block tag stands `raw`; otherwise 0.
  size_t raw_begin(size_t inside) const {
    size_t offset = skip_space(inside);
    if (!starts_with(offset, "raw")) return 0;
    offset = skip_space(offset + 3);
    if (starts_with(offset, "-%}")) return skip_space(offset + 3);
    return starts_with(offset, "%}") ? offset + 2 : 0;
  }

  void lex_raw(size_t tag) {
    for (size_t end = offset_; (end = text_.find("{%", end)) != std::string_view::npos; ++end) {
      const char sign = sign_at(end + 2);
      size_t offset = skip_space(end + 2 + (sign != '\0' ? 1 : 0));
      if (!starts_with(offset, "endraw")) continue;
      const size_t after = block_end(skip_space(offset + 6), "%}");
      if (after == 0) continue;
      add_data(end, sign, false);
      move_to(after);
      return;
    }
    fail_at(position(tag), "the raw block is never closed; end it with {{% endraw %}}");
  }

  void lex_tag(bool is_block) {
    const Position begin = tokens_.back().at;
    const std::string_view close = is_block ? "%}" : "}}";
    while (offset_ < text_.size()) {
      if (brackets_.empty()) {
        size_t end = 0;
        if (is_block) {
          end = block_end(offset_, close);
        } else if (starts_with(offset_, "-}}")) {
          end = skip_space(offset_ + 3);
        } else if (starts_with(offset_, close)) {
          end = offset_ + 2;
        }
        if (end != 0) {
          add(is_block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, std::string(close), offset_);
          move_to(end);
          return;
        }
      }
      if (const size_t bytes = space_bytes_at(text_, offset_)) {
        offset_ += bytes;
      } else if (!lex_number() && !lex_name() && !lex_string() && !lex_operator()) {
        std::string character;
        append_code_point(character, code_point_at(text_, offset_).value);
        fail_at(position(offset_), "unexpected character '{}'", character);
      }
    }
    fail_at(begin, "the tag is never closed; end it with {}", close);
  }

  bool lex_number() {
    const size_t float_end = offset_ > 0 && text_[offset_ - 1] == '.' ? 0 : scan_float(text_, offset_);
    if (float_end != 0) {
      add(TokenKind::kFloat, std::string(text_.substr(offset_, float_end - offset_)), offset_).number =
          parse_float_literal(text_.substr(offset_, float_end - offset_));
      offset_ = float_end;
      return true;
    }
    const size_t end = scan_integer(text_, offset_);
    if (end == 0) return false;
    const std::string_view digits = text_.substr(offset_, end - offset_);
    const std::optional<Int> value = parse_integer_literal(digits);
    if (!value) fail_at(position(offset_), "the integer {} is beyond 128 bits", digits);
    add(TokenKind::kInteger, std::string(digits), offset_).integer = *value;
    offset_ = end;
    return true;
  }

  bool lex_name() {
    size_t end = offset_;
    while (end < text_.size()) {
      const CodePoint point = code_point_at(text_, end);
      if (!is_identifier_part(point.value)) break;
      end += point.bytes;
    }
    if (end == offset_) return false;
    if (is_decimal(code_point_at(text_, offset_).value)) fail_at(position(offset_), "a name can't start with a digit");
    add(TokenKind::kName, std::string(text_.substr(offset_, end - offset_)), offset_);
    offset_ = end;
    return true;
  }

  bool lex_string() {
    const char quote = text_[offset_];
    if (quote != '"' && quote != '\'') return false;
    size_t end = offset_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail_at(position(offset_), "the string is never closed; end it with {}", quote);
    const Position at = position(offset_);
    add(TokenKind::kString, unescape_string(text_.substr(offset_ + 1, end - offset_ - 1), at), offset_);
    offset_ = end + 1;
    return true;
  }

  bool lex_operator() {
    for (const std::string_view candidate : kOperators) {
      if (!starts_with(offset_, candidate)) continue;
      const char first = candidate.front();
      if (first == '(' || first == '[' || first == '{') {
        brackets_ += first == '(' ? ')' : first == '[' ? ']' : '}';
      } else if (first == ')' || first == ']' || first == '}') {
        if (brackets_.empty()) fail_at(position(offset_), "unexpected '{}'", candidate);
        if (brackets_.back() != first) {
          fail_at(position(offset_), "unexpected '{}', expected '{}'", candidate, brackets_.back());
        }
        brackets_.pop_back();
      }
      add(TokenKind::kOperator, std::string(candidate), offset_);
      offset_ += candidate.size();
      return true;
    }
    return false;
  }

  std::string source_;
  std::string_view text_;
  size_t offset_ = 0;
  bool line_starting_ = true;
  std::string brackets_;  ///< the closing brackets that are owed, innermost last
  size_t measured_ = 0;   ///< at_ is the position of this offset
  Position at_;
  std::vector<Token> tokens_;
};

}  // namespace

std::string shortened(std::string message) {
  constexpr size_t kMost = 4096;
  if (message.size() <= kMost) return message;
  size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
  return message.substr(0, end) + "…";
}

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "text";
    case TokenKind::kVariableBegin:
    case TokenKind::kVariableEnd:
    case TokenKind::kBlockBegin:
    case TokenKind::kBlockEnd:
    case TokenKind::kName:
    case TokenKind::kOperator:
      return "'" + token.text + "'";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return "the number " + token.text;
    case TokenKind::kEnd:
      break;
  }
  return "the end of the template";
}

}  // namespace ocelli::text::jinja
