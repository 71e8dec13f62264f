#include "ocelli/text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/text/added_tokens.h"
#include "ocelli/text/decoder.h"
#include "ocelli/text/model.h"
#include "ocelli/text/normalizer.h"
#include "ocelli/text/post_processor.h"
#include "ocelli/text/pre_tokenizer.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

// Positions inside a piece are 32 bits; normalizing and byte-level form may grow a text.
constexpr size_t kMaxTextBytes = 64ULL << 20;

/// A component of the file: nullptr when absent or null.
template <typename Make>
auto component(const JsonView& file, const char* key, Make&& make) -> decltype(make(file)) {
  if (!file.has(key)) return {};
  return make(file.object(key));
}

class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(const JsonView& file)
      : normalizer_(component(file, "normalizer", make_normalizer)),
        pre_tokenizer_(component(file, "pre_tokenizer", make_pre_tokenizer)),
        model_(make_model(file.object("model"))),
        added_(file.value().value("added_tokens", Json()), file.path() + ".added_tokens", model_->vocabulary(),
               normalizer_.get()),
        decoder_(component(file, "decoder", make_decoder)) {
    surroundings_ =
        component(file, "post_processor", [this](const JsonView& config) { return read_post_processor(config, vocab_size()); });
  }

  std::vector<int64_t> encode(std::string_view text, bool add_special) const override {
    require(text.size() <= kMaxTextBytes, "tokenizer: a text has {} bytes, at most {} are taken (cut it)", text.size(),
            kMaxTextBytes);
    std::vector<int64_t> ids;
    if (add_special) ids = surroundings_.before;
    if (is_valid_utf8(text)) {
      encode_valid(text, ids);
    } else {
      encode_valid(valid_utf8(text), ids);
    }
    if (add_special) ids.insert(ids.end(), surroundings_.after.begin(), surroundings_.after.end());
    return ids;
  }

  std::string decode(std::span<const int64_t> ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const int64_t id : ids) {
      if (const AddedToken* added = added_.find(id)) {
        // The normalized form, so that the decoder undoes what the normalizer did, as `tokenizers` 0.23 has it.
        if (!skip_special || !added->special) tokens.push_back(added->normalized_content);
      } else {
        tokens.push_back(token_of(id));
      }
    }
    std::string text;
    if (decoder_) {
      decoder_->apply(tokens);
      for (const std::string& token : tokens) text += token;
    } else {
      for (size_t i = 0; i < tokens.size(); ++i) {
        if (i > 0) text += ' ';
        text += tokens[i];
      }
    }
    return text;
  }

  int64_t vocab_size() const override { return std::max(model_->vocabulary().end(), added_.end()); }

  std::optional<int64_t> id_of(std::string_view token) const override {
    if (const AddedToken* added = added_.find(token)) return added->id;
    return model_->vocabulary().id_of(token);
  }

  std::string token_of(int64_t id) const override {
    if (const AddedToken* added = added_.find(id)) return added->content;
    const std::string* token = model_->vocabulary().token_of(id);
    require(token != nullptr, "tokenizer: id {} has no token (ids are below {})", id, vocab_size());
    return *token;
  }

  bool is_special(int64_t id) const override {
    const AddedToken* added = added_.find(id);
    return added != nullptr && added->special;
  }

 private:
  void encode_valid(std::string_view text, std::vector<int64_t>& ids) const {
    std::vector<AddedTokens::Part> parts;
    added_.split(text, false, parts);
    std::vector<AddedTokens::Part> inner;
    for (const AddedTokens::Part& part : parts) {
      if (part.token != nullptr) {
        ids.push_back(part.token->id);
        continue;
      }
      std::string normalized(part.text);
      if (normalizer_) normalizer_->apply(normalized);
      inner.clear();
      added_.split(normalized, true, inner);
      for (const AddedTokens::Part& piece : inner) {
        if (piece.token != nullptr) {
          ids.push_back(piece.token->id);
        } else {
          const bool at_start = part.text.data() == text.data() && piece.text.data() == normalized.data();
          encode_part(piece.text, at_start, ids);
        }
      }
    }
  }

  void encode_part(std::string_view text, bool at_start, std::vector<int64_t>& ids) const {
    if (!pre_tokenizer_) return model_->encode(text, ids);
    Pieces pieces;
    pieces.at_start = at_start;
    pieces.add(text);
    pre_tokenizer_->apply(pieces);
    for (size_t i = 0; i < pieces.size(); ++i) model_->encode(pieces[i], ids);
  }

  std::unique_ptr<const Normalizer> normalizer_;
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;
  std::unique_ptr<const TokenModel> model_;
  AddedTokens added_;
  std::unique_ptr<const Decoder> decoder_;
  Surroundings surroundings_;
};

}  // namespace

std::shared_ptr<const Tokenizer> make_tokenizer(const Json& tokenizer_json, const std::string& origin) {
  require(tokenizer_json.is_object(), "{} must be a JSON object", origin);
  return std::make_shared<PipelineTokenizer>(JsonView(tokenizer_json, origin));
}

}  // namespace ocelli::text
