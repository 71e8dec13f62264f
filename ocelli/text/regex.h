#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::text {

/// A stretch of text, [begin, end) in bytes, that a pattern matched or that lies between two matches.
struct Span {
  size_t begin = 0, end = 0;
  bool matched = false;
};

/// A regular expression of a `tokenizer.json`, run by PCRE2 under limits, as Oniguruma reads it there: `^` and `$` at every
/// line, Unicode classes. Differs: PCRE2 10.42 knows Unicode 14, so later letters count as none; what the two read
/// differently otherwise (`\h`, `&&` in a class) is refused.
class Regex {
 public:
  /// Throws Error naming `where` and the pattern when it doesn't compile or isn't supported.
  Regex(const std::string& pattern, const std::string& where);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// Appends spans that cover `text` in order; an empty match is a span of no bytes.
  /// Throws Error when a match costs more steps or memory than the limits allow (a hostile pattern).
  void cover(std::string_view text, std::vector<Span>& spans) const;

 private:
  struct Compiled;
  std::string pattern_;
  std::string where_;
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace ocelli::text
