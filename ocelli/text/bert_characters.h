#pragma once

namespace ocelli::text {

// Character classes as BertNormalizer and BertPreTokenizer of `tokenizers` see them: tables of Unicode 7, whatever newer ones
// say.

bool is_bert_control(char32_t c);      ///< Cc, Cf, Co; tab and line ends included
bool is_nonspacing_mark(char32_t c);   ///< Mn
bool is_bert_punctuation(char32_t c);  ///< P, and ASCII's symbols
bool is_bert_ideograph(char32_t c);    ///< gets spaces around; hiragana, katakana and hangul don't

}  // namespace ocelli::text
