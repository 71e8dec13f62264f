#include "ocelli/text/pattern.h"

#include <string>

#include "ocelli/text/unicode.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt2Grouped = R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

enum class Kind { kLetter, kNumber, kSpace, kOther };

struct Char {
  Kind kind = Kind::kOther;
  char32_t value = 0;
  size_t bytes = 0;  ///< 0 at the end of the text
};

Char char_at(std::string_view text, size_t pos) {
  if (pos >= text.size()) return {};
  const CodePoint point = code_point_at(text, pos);
  Kind kind = Kind::kOther;
  if (is_letter(point.value)) {
    kind = Kind::kLetter;
  } else if (is_number(point.value)) {
    kind = Kind::kNumber;
  } else if (is_space(point.value)) {
    kind = Kind::kSpace;
  }
  return {kind, point.value, point.bytes};
}

bool is_newline(char32_t c) {
  return c == '\r' || c == '\n';
}

/// The end of the run of `kind` from `pos`, of at most `limit` characters.
size_t run_end(std::string_view text, size_t pos, Kind kind, size_t limit = SIZE_MAX) {
  for (size_t count = 0; count < limit; ++count) {
    const Char c = char_at(text, pos);
    if (c.bytes == 0 || c.kind != kind) break;
    pos += c.bytes;
  }
  return pos;
}

/// The end of a contraction ('s 't 're 've 'm 'll 'd) at `pos`, or `pos`. Without regard to case, U+017F is an s too.
size_t contraction_end(std::string_view text, size_t pos, bool any_case) {
  if (text[pos] != '\'') return pos;
  const std::string_view rest = text.substr(pos + 1);
  const auto letter = [&](size_t i) {
    if (i >= rest.size()) return '\0';
    const char c = rest[i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  switch (letter(0)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return pos + 2;
    case 'r':
    case 'v':
      return letter(1) == 'e' ? pos + 3 : pos;
    case 'l':
      return letter(1) == 'l' ? pos + 3 : pos;
    default:
      return any_case && rest.substr(0, 2) == "\xC5\xBF" ? pos + 3 : pos;
  }
}

/// `\s+(?!\S)|\s+` from a space at `pos`: the run without its last character, unless the text ends with the run or it is one
/// long.
size_t spaces_end(std::string_view text, size_t pos) {
  const size_t end = run_end(text, pos, Kind::kSpace);
  if (end == text.size()) return end;
  const size_t last = previous_start(text, end);
  return last > pos ? last : end;
}

class Gpt2Pattern final : public Pattern {
 public:
  void cover(std::string_view text, std::vector<Span>& spans) const override {
    for (size_t pos = 0; pos < text.size();) {
      const size_t end = next(text, pos);
      spans.push_back({pos, end, true});
      pos = end;
    }
  }

 private:
  static size_t next(std::string_view text, size_t pos) {
    const size_t contraction = contraction_end(text, pos, false);
    if (contraction > pos) return contraction;
    const size_t start = text[pos] == ' ' ? pos + 1 : pos;
    const Char c = char_at(text, start);
    if (c.bytes == 0 || c.kind == Kind::kSpace) return spaces_end(text, pos);
    return run_end(text, start, c.kind);
  }
};

/// Qwen2 and Llama-3 differ in how many digits stay together.
class Llama3Pattern final : public Pattern {
 public:
  explicit Llama3Pattern(size_t digits) : digits_(digits) {}

  void cover(std::string_view text, std::vector<Span>& spans) const override {
    for (size_t pos = 0; pos < text.size();) {
      const size_t end = next(text, pos);
      spans.push_back({pos, end, true});
      pos = end;
    }
  }

 private:
  size_t next(std::string_view text, size_t pos) const {
    const size_t contraction = contraction_end(text, pos, true);
    if (contraction > pos) return contraction;
    const Char first = char_at(text, pos);
    if (first.kind == Kind::kLetter) return run_end(text, pos, Kind::kLetter);
    if (first.kind == Kind::kNumber) return run_end(text, pos, Kind::kNumber, digits_);
    // [^\r\n\p{L}\p{N}]?\p{L}+
    if (!is_newline(first.value)) {
      const size_t letters = run_end(text, pos + first.bytes, Kind::kLetter);
      if (letters > pos + first.bytes) return letters;
    }
    // ' ?[^\s\p{L}\p{N}]+[\r\n]*'
    const size_t start = text[pos] == ' ' ? pos + 1 : pos;
    size_t end = run_end(text, start, Kind::kOther);
    if (end > start) {
      while (end < text.size() && is_newline(static_cast<unsigned char>(text[end]))) ++end;
      return end;
    }
    // \s*[\r\n]+: up to the last line end of the run.
    const size_t run = run_end(text, pos, Kind::kSpace);
    const size_t newline = text.substr(pos, run - pos).find_last_of("\r\n");
    if (newline != std::string_view::npos) return pos + newline + 1;
    return spaces_end(text, pos);
  }

  size_t digits_;
};

class LiteralPattern final : public Pattern {
 public:
  explicit LiteralPattern(std::string literal) : literal_(std::move(literal)) {}

  void cover(std::string_view text, std::vector<Span>& spans) const override {
    size_t covered = 0;
    for (size_t found = text.find(literal_); found != std::string_view::npos; found = text.find(literal_, covered)) {
      if (found > covered) spans.push_back({covered, found, false});
      covered = found + literal_.size();
      spans.push_back({found, covered, true});
    }
    if (covered < text.size()) spans.push_back({covered, text.size(), false});
  }

 private:
  std::string literal_;
};

class RegexPattern final : public Pattern {
 public:
  RegexPattern(const std::string& pattern, const std::string& where) : regex_(pattern, where) {}
  void cover(std::string_view text, std::vector<Span>& spans) const override { regex_.cover(text, spans); }

 private:
  Regex regex_;
};

}  // namespace

std::unique_ptr<const Pattern> gpt2_pattern() {
  return std::make_unique<Gpt2Pattern>();
}

std::unique_ptr<const Pattern> qwen2_pattern() {
  return std::make_unique<Llama3Pattern>(1);
}

std::string_view qwen2_regex() {
  return kQwen2;
}

std::unique_ptr<const Pattern> make_pattern(const JsonView& pattern) {
  if (pattern.has("String")) {
    std::string literal = pattern.string("String");
    require(!literal.empty(), "{}: an empty string is no pattern", pattern.path());
    return std::make_unique<LiteralPattern>(std::move(literal));
  }
  const std::string regex = pattern.string("Regex");
  if (regex == kGpt2 || regex == kGpt2Grouped) return gpt2_pattern();
  if (regex == kQwen2) return qwen2_pattern();
  if (regex == kLlama3) return std::make_unique<Llama3Pattern>(3);
  return std::make_unique<RegexPattern>(regex, pattern.path());
}

}  // namespace ocelli::text
