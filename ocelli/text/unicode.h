#pragma once

#include <string>
#include <string_view>

namespace ocelli::text {

// Character classes as `tokenizers` 0.23 sees them. Its regular expressions (Oniguruma) know Unicode 16, the functions of
// Rust's standard library Unicode 17, its normal forms Unicode 9; utf8proc 2.8 knows Unicode 15. unicode.cpp
// holds the few ranges in which they differ, so that all code points agree (tests/parity/test_tokenizer.py runs over every one).

bool is_letter(char32_t c);   ///< \p{L}
bool is_number(char32_t c);   ///< \p{N}
bool is_space(char32_t c);    ///< \s: the White_Space property
bool is_numeric(char32_t c);  ///< Rust's char::is_numeric, which the Digits pre-tokenizer asks
bool is_word(char32_t c);     ///< \w of Rust's regex: Alphabetic, M, Nd, Pc, Join_Control

/// Appends the lower-case form of one code point, without regard to its neighbours (Rust's char::to_lowercase).
void append_lowercase(std::string& out, char32_t c);

/// The extended grapheme cluster (what a reader takes for one character; Unicode annex 29) that begins at byte `pos` of valid
/// UTF-8.
std::string_view grapheme_at(std::string_view text, size_t pos);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// `text`: valid UTF-8.
std::string normalize_unicode(std::string_view text, NormalForm form);

/// NFC by the newest tables there are (Unicode 15), as Python's unicodedata; it and normalize_unicode differ for marks that
/// Unicode 9 doesn't know.
std::string compose_unicode(std::string_view text);

}  // namespace ocelli::text
