#pragma once

#include <filesystem>
#include <memory>

#include "ocelli/text/folder_tokens.h"
#include "ocelli/text/sentencepiece.h"
#include "ocelli/text/tokenizer.h"

namespace ocelli::text {

/// A SentencePiece model with the added tokens of its folder, as `transformers`' LlamaTokenizer (`use_fast=False`),
/// GemmaTokenizer and T5Tokenizer use it: the text is cut at added tokens, each stretch between goes through the model.
///
/// `legacy` (tokenizer_config.json; default true): every stretch gets the model's dummy prefix. Not legacy: only the text's
/// beginning does (none with `add_prefix_space` false), and U+2581 in the text is a space.
/// `add_bos_token`, `add_eos_token`: what `add_special` adds; by default the BOS token, or where there is none (T5) the EOS
/// token. T5Tokenizer gets `<extra_id_99>` … `<extra_id_0>` (number: `extra_ids`) behind the model's pieces. decode() gives the
/// model's text between special tokens; the dummy prefix is taken off at the beginning alone.
///
/// Throws Error for an added token whose id belongs to two, or `extra_ids` above 4,096.
std::shared_ptr<const Tokenizer> make_sentencepiece_tokenizer(SentencePieceFile file, FolderTokens tokens,
                                                              const std::string& origin);

}  // namespace ocelli::text
