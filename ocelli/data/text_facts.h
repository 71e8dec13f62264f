#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::data {

// What can be told about the text of questions and answers without a model. All take any bytes.

/// Runs of anything but white space, where every Han, Hiragana, Katakana and Hangul character counts as a word of its own.
int64_t count_words(std::string_view text);

/// Letters by script.
struct ScriptCounts {
  int64_t han = 0, latin = 0, other = 0;
  int64_t total() const { return han + latin + other; }
  ScriptCounts& operator+=(const ScriptCounts& more);
};
ScriptCounts count_scripts(std::string_view text);

/// Text read in the wrong encoding once: U+FFFD, bytes that are no UTF-8, or UTF-8 taken for Windows-1252 ("Ã©" for "é", "â€™"
/// for "’"). Returns the first such place, empty when there is none.
std::string_view find_mojibake(std::string_view text);

/// The first thing in `text` that chat templates write themselves: one of `tokens` (a tokenizer's special tokens), or, when that
/// is empty, `<|…|>` and the usual markers. Empty when there is none. `<image>` is not looked for.
std::string_view find_template_token(std::string_view text, std::span<const std::string> tokens);

/// What is left of a question when its spelling doesn't matter: picture marks out, NFKC, lower case, everything but letters and
/// numbers one space.
std::string normalized_question(std::string_view text);

/// An answer that is a choice.
enum class ShortAnswer { kNone, kYes, kNo, kLetter };
struct Choice {
  ShortAnswer kind = ShortAnswer::kNone;
  char letter = 0;  ///< of kLetter: 'A' to 'Z'
};
/// "Yes.", "no", "B", "(B)", "B."; anything longer is no choice.
Choice choice_of(std::string_view answer);
/// Letters of the options a question lists, one a line: "A. …", "(A) …", "A) …", "A: …". Empty unless there are at least two and
/// the first is A.
std::string option_letters(std::string_view question);

/// Whether a question asks for text in the picture: it holds one of reading_phrases().
bool asks_to_read(std::string_view question);
std::span<const std::string_view> reading_phrases();

}  // namespace ocelli::data
