#include "ocelli/data/python_list.h"

#include <fmt/format.h>

#include "ocelli/base/error.h"
#include "ocelli/base/utf8.h"

namespace ocelli::data {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  std::vector<std::string> run() {
    std::vector<std::string> out;
    expect('[');
    skip();
    while (peek() != ']') {
      out.push_back(read_string());
      skip();
      if (peek() != ',') break;
      ++at_;
      skip();
    }
    expect(']');
    skip();
    if (at_ != text_.size()) wrong("the end");
    return out;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip() {
    while (peek() == ' ' || peek() == '\n') ++at_;
  }
  [[noreturn]] void wrong(std::string_view expected) const {
    fail("{}: byte {} of a list of strings: expected {}", where_, at_, expected);
  }
  void expect(char c) {
    if (peek() != c) wrong(fmt::format("\"{}\"", c));
    ++at_;
  }

  std::string read_string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') wrong("a string in quotes");
    ++at_;
    std::string out;
    for (;;) {
      const size_t stop = text_.find_first_of(quote == '"' ? "\"\\" : "'\\", at_);
      if (stop == std::string_view::npos) wrong("the string's end");
      out += text_.substr(at_, stop - at_);
      at_ = stop + 1;
      if (text_[stop] == quote) return out;
      read_escape(out);
    }
  }

  void read_escape(std::string& out) {
    const char c = peek();
    ++at_;
    switch (c) {
      case 'n':
        out += '\n';
        return;
      case 't':
        out += '\t';
        return;
      case 'r':
        out += '\r';
        return;
      case '\\':
      case '\'':
      case '"':
        out += c;
        return;
      case 'x':
        return append_utf8(out, read_hex(2));
      case 'u':
        return append_utf8(out, read_hex(4));
      case 'U':
        return append_utf8(out, read_hex(8));
      default:
        wrong("one of Python's escapes \\n \\t \\r \\\\ \\' \\\" \\x \\u \\U");
    }
  }

  char32_t read_hex(size_t digits) {
    uint32_t value = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) wrong("a hexadecimal digit");
      value = value * 16 + static_cast<uint32_t>(digit);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF) || value == 0) wrong("a character");
    return value;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace

bool is_python_list(std::string_view text) {
  return text.starts_with("['") || text.starts_with("[\"") || text == "[]";
}

std::vector<std::string> read_python_list(std::string_view text, const std::string& where) {
  return Reader(text, where).run();
}

std::string write_python_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ", ";
    const char quote = text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
    out += quote;
    for (const char c : text) {
      if (c == '\n') {
        out += "\\n";
      } else if (c == '\t') {
        out += "\\t";
      } else if (c == '\r') {
        out += "\\r";
      } else {
        if (c == '\\' || c == quote) out += '\\';
        out += c;
      }
    }
    out += quote;
  }
  return out + "]";
}

}  // namespace ocelli::data
