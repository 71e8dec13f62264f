#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/text/regex.h"

namespace ocelli::text {

/// What a text is cut at.
class Pattern {
 public:
  virtual ~Pattern() = default;
  /// Appends spans that cover `text` (valid UTF-8) in order, matches and what lies between; an empty match is a span of no bytes.
  virtual void cover(std::string_view text, std::vector<Span>& spans) const = 0;
};

/// `{"String": …}` or `{"Regex": …}` of a `tokenizer.json`. The split patterns of GPT-2, Qwen2 and Llama-3 run as scanners
/// written by hand: linear, without a regex engine. Any other goes through PCRE2 (see Regex).
/// Throws Error naming the pattern.
std::unique_ptr<const Pattern> make_pattern(const JsonView& pattern);

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`: every byte of the text is in a match.
std::unique_ptr<const Pattern> gpt2_pattern();

/// Qwen's split, in Qwen 1 and 2 alike: contractions, words with one character before them, single digits. Every byte is in a
/// match.
std::unique_ptr<const Pattern> qwen2_pattern();
/// The same as a regular expression.
std::string_view qwen2_regex();

}  // namespace ocelli::text
