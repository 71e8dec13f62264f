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

/// Text to ids and back, as the `tokenizers` package does from the same `tokenizer.json`: its byte-level BPE (GPT-2, Qwen2,
/// Llama-3) and BPE after SentencePiece with byte fallback (Llama-2, Vicuna). `truncation` and `padding` of the file are not
/// applied, as `transformers` doesn't either unless asked. Immutable after loading, so one may be used by many threads.
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

/// Opens `tokenizer.json` (the file or the folder it is in; at most 256 MiB). Throws Error naming the file and the component that
/// isn't supported.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& path);
/// The same from parsed JSON.
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
