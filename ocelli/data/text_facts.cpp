#include "ocelli/data/text_facts.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ocelli/data/sample.h"
#include "ocelli/text/unicode.h"
#include "ocelli/text/utf8.h"

namespace ocelli::data {
namespace {

/// Characters of scripts written without spaces between words are words here.
bool is_han(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x323AF);
}
bool is_word_alone(char32_t c) {
  return is_han(c) || (c >= 0x3041 && c <= 0x30FF) || (c >= 0xAC00 && c <= 0xD7A3);
}

bool is_latin(char32_t c) {
  return c < 0x250 || (c >= 0x1E00 && c <= 0x1EFF) || (c >= 0xFF21 && c <= 0xFF5A);
}

/// The byte Windows-1252 writes a character with; none when it has no such character.
std::optional<uint8_t> windows_1252(char32_t c) {
  if (c < 0x80 || (c >= 0xA0 && c <= 0xFF)) return static_cast<uint8_t>(c);
  // Bytes 0x81, 0x8D, 0x8F, 0x90, 0x9D are not assigned; decoders pass them through, as Latin-1 passes all of these.
  constexpr std::array<char32_t, 32> kHigh = {0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                              0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,   0x017D, 0x8F,
                                              0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                              0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
  const auto* const found = std::find(kHigh.begin(), kHigh.end(), c);
  if (found != kHigh.end()) return static_cast<uint8_t>(0x80 + (found - kHigh.begin()));
  if (c >= 0x80 && c < 0xA0) return static_cast<uint8_t>(c);
  return std::nullopt;
}

/// Bytes of a UTF-8 sequence that starts with `lead`, of those that are common enough in wrongly read text and rare enough in
/// right text: Latin-1's letters (2 bytes), and punctuation, Han and the like (3). 0 for others.
size_t sequence_length(uint8_t lead) {
  if (lead == 0xC2 || lead == 0xC3) return 2;
  return lead >= 0xE2 && lead <= 0xEF ? 3 : 0;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool is_capital(char c) {
  return c >= 'A' && c <= 'Z';
}

/// The letter a line begins with as an option's name, 0 when it doesn't. `only`: nothing may follow.
char option_letter(std::string_view line, bool only) {
  line = trimmed(line);
  const bool bracket = line.starts_with('(');
  if (bracket) line.remove_prefix(1);
  if (line.empty() || !is_capital(line[0])) return 0;
  const char letter = line[0];
  line.remove_prefix(1);
  if (line.empty()) return only && !bracket ? letter : '\0';
  const bool closed = bracket ? line[0] == ')' : line[0] == '.' || line[0] == ')' || line[0] == ':';
  if (!closed) return 0;
  line = trimmed(line.substr(1));
  return !only || line.empty() || (bracket && line == ".") ? letter : '\0';
}

constexpr auto kReadingPhrases = std::to_array<std::string_view>({"ocr",
                                                                  "what text",
                                                                  "the text",
                                                                  "text in",
                                                                  "text on",
                                                                  "any text",
                                                                  "is written",
                                                                  "was written",
                                                                  "written on",
                                                                  "read the",
                                                                  "can you read",
                                                                  "transcribe",
                                                                  "what does the sign say",
                                                                  "what does it say",
                                                                  "what word",
                                                                  "which word",
                                                                  "what letters",
                                                                  "what number is on",
                                                                  "文字",
                                                                  "写着",
                                                                  "写了什么",
                                                                  "识别图"});

constexpr auto kTemplateTokens =
    std::to_array<std::string_view>({"[INST]", "[/INST]", "<<SYS>>", "<start_of_turn>", "<end_of_turn>", "<|endoftext|>", "</s>",
                                     "<s>", "<image_placeholder>", "<IMG_CONTEXT>", "<image_soft_token>", "<end_of_utterance>"});

}  // namespace

ScriptCounts& ScriptCounts::operator+=(const ScriptCounts& more) {
  han += more.han;
  latin += more.latin;
  other += more.other;
  return *this;
}

int64_t count_words(std::string_view text) {
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const text::CodePoint point = text::code_point_at(text, at);
    at += point.bytes;
    if (is_word_alone(point.value)) {
      ++words;
      inside = false;
    } else if (text::is_space(point.value)) {
      inside = false;
    } else if (!inside) {
      ++words;
      inside = true;
    }
  }
  return words;
}

ScriptCounts count_scripts(std::string_view text) {
  ScriptCounts out;
  for (size_t at = 0; at < text.size();) {
    const text::CodePoint point = text::code_point_at(text, at);
    at += point.bytes;
    if (!text::is_letter(point.value)) continue;
    ++(is_han(point.value) ? out.han : is_latin(point.value) ? out.latin : out.other);
  }
  return out;
}

std::string_view find_mojibake(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const text::CodePoint point = text::code_point_at(text, at);
    if (point.value == 0xFFFD) return text.substr(at, point.bytes);
    size_t end = at + point.bytes;
    const size_t length = point.value < 0x80 ? 0 : sequence_length(windows_1252(point.value).value_or(0));
    size_t matched = 1;
    while (matched < length && end < text.size()) {
      const text::CodePoint next = text::code_point_at(text, end);
      const uint8_t byte = windows_1252(next.value).value_or(0);
      if (byte < 0x80 || byte > 0xBF) break;
      end += next.bytes;
      ++matched;
    }
    if (length > 0 && matched == length) return text.substr(at, end - at);
    at += point.bytes;
  }
  return {};
}

std::string_view find_template_token(std::string_view text, std::span<const std::string> tokens) {
  size_t first = std::string_view::npos, length = 0;
  const auto look = [&](std::string_view token) {
    const size_t at = token.empty() || token == kPictureMark ? std::string_view::npos : text.find(token);
    if (at < first) {
      first = at;
      length = token.size();
    }
  };
  if (!tokens.empty()) {
    for (const std::string& token : tokens) look(token);
    return first == std::string_view::npos ? std::string_view() : text.substr(first, length);
  }
  for (const std::string_view token : kTemplateTokens) look(token);
  constexpr size_t kLongestName = 64;
  for (size_t at = text.find("<|"); at < first; at = text.find("<|", at + 1)) {
    const size_t end = text.substr(at + 2, kLongestName).find("|>");
    if (end == std::string_view::npos || end == 0) continue;
    const std::string_view name = text.substr(at + 2, end);
    if (name.find_first_of(" \t\r\n<") != std::string_view::npos) continue;
    return text.substr(at, end + 4);
  }
  return first == std::string_view::npos ? std::string_view() : text.substr(first, length);
}

std::string normalized_question(std::string_view text) {
  std::string unmarked;
  for (size_t at = 0;;) {
    const size_t mark = text.find(kPictureMark, at);
    unmarked += text.substr(at, mark == std::string_view::npos ? mark : mark - at);
    if (mark == std::string_view::npos) break;
    unmarked += ' ';
    at = mark + kPictureMark.size();
  }
  const std::string plain = text::normalize_unicode(text::valid_utf8(unmarked), text::NormalForm::kNfkc);
  std::string out;
  for (size_t at = 0; at < plain.size();) {
    const text::CodePoint point = text::code_point_at(plain, at);
    at += point.bytes;
    if (text::is_word(point.value) && point.value != '_') {
      text::append_lowercase(out, point.value);
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

Choice choice_of(std::string_view answer) {
  std::string_view text = trimmed(answer);
  if (const char letter = option_letter(text, true)) return {ShortAnswer::kLetter, letter};
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.size() > 3) return {};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (lower == "yes") return {ShortAnswer::kYes};
  if (lower == "no") return {ShortAnswer::kNo};
  return {};
}

std::string option_letters(std::string_view question) {
  std::string letters;
  while (!question.empty()) {
    const size_t end = std::min(question.find('\n'), question.size());
    if (const char letter = option_letter(question.substr(0, end), false)) letters += letter;
    question.remove_prefix(std::min(end + 1, question.size()));
  }
  return letters.size() >= 2 && letters[0] == 'A' ? letters : std::string();
}

bool asks_to_read(std::string_view question) {
  const std::string words = " " + normalized_question(question) + " ";
  return std::any_of(kReadingPhrases.begin(), kReadingPhrases.end(), [&](std::string_view phrase) {
    const bool ascii = static_cast<unsigned char>(phrase[0]) < 0x80;
    return words.find(ascii ? " " + std::string(phrase) + " " : std::string(phrase)) != std::string::npos;
  });
}

std::span<const std::string_view> reading_phrases() {
  return kReadingPhrases;
}

}  // namespace ocelli::data
