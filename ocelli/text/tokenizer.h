#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::text {

/// Text to ids and back, as the packages the model was made with do it: `tokenizers` for a `tokenizer.json` (byte-level BPE, BPE
/// with byte fallback, Unigram, WordPiece), `sentencepiece` for a `tokenizer.model`, `tiktoken` for Qwen's ranks. `truncation`
/// and `padding` of the files are not applied, as `transformers` doesn't either unless asked. Immutable after loading, so one may
/// be used by many threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of `text` (UTF-8; invalid parts read as U+FFFD; at most 64 MiB). `add_special`: what the post-processor adds (a BOS,
  /// say). Special tokens standing in the text become their ids.
  virtual std::vector<int64_t> encode(std::string_view text, bool add_special) const = 0;
  /// Text of ids; with `skip_special` special tokens are left out. Throws Error on an id outside the vocabulary.
  virtual std::string decode(std::span<const int64_t> ids, bool skip_special) const = 0;

  /// One more than the largest id.
  virtual int64_t vocab_size() const = 0;
  virtual std::optional<int64_t> id_of(std::string_view token) const = 0;
  /// The token as stored (byte-level tokens in their printable form). Throws Error when outside.
  virtual std::string token_of(int64_t id) const = 0;
  virtual bool is_special(int64_t id) const = 0;
};

/// Opens the tokenizer of a model's folder, or one of its files (at most 256 MiB). Of a folder the first that is there:
/// `tokenizer.json`; `tokenizer.model` or `spiece.model` (SentencePiece, see make_sentencepiece_tokenizer); `qwen.tiktoken`
/// (make_qwen_tokenizer); `vocab.json` with `merges.txt` (byte_level_document); `vocab.txt` (wordpiece_document).
/// All but the first obey tokenizer_config.json, special_tokens_map.json and added_tokens.json beside them.
/// Throws Error naming the file and what in it isn't supported, or what was looked for.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& path);
/// The file load_tokenizer would open in a folder, empty when there is none.
std::filesystem::path find_tokenizer(const std::filesystem::path& folder);
/// From a parsed `tokenizer.json`.
std::shared_ptr<const Tokenizer> make_tokenizer(const Json& tokenizer_json, const std::string& origin);

struct TrainOptions {
  int64_t vocab_size = 4096;  ///< special tokens and the 256 bytes included
  int64_t min_frequency = 2;
  std::vector<std::string> special_tokens = {};  ///< get the first ids, in this order
};

/// Trains byte-level BPE (GPT-2 split) over `texts` and returns the `tokenizer.json` document, loadable by
/// `tokenizers` and `transformers`. Deterministic: ties between pairs go to the smaller pair of ids.
Json train_byte_level_bpe(const std::vector<std::string>& texts, const TrainOptions& options);

}  // namespace ocelli::text
