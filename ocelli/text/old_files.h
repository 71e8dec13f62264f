#pragma once

#include <string_view>

#include "ocelli/base/json.h"
#include "ocelli/text/folder_tokens.h"

namespace ocelli::text {

// Vocabularies from before `tokenizer.json`, as the document make_tokenizer reads. What the class in tokenizer_config.json
// decides is decided as `transformers` does.

/// `vocab.json` and `merges.txt`: GPT2Tokenizer (OPT, Phi with CodeGenTokenizer), RobertaTokenizer and Qwen2Tokenizer.
/// `add_bos_token` (default false; OPT's files say true) puts the BOS token before a text.
Json byte_level_document(const Json& vocab, std::string_view merges, FolderTokens tokens);

/// `vocab.txt`: BertTokenizer, with its `do_lower_case`, `tokenize_chinese_chars` and `strip_accents`.
Json wordpiece_document(std::string_view vocab, FolderTokens tokens);

}  // namespace ocelli::text
