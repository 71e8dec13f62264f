#include "ocelli/text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/text/replace.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";
constexpr size_t kMaxTextBytes = 64ULL << 20;

struct Options {
  bool legacy = true;
  bool add_prefix_space = true;
  std::string unk_token;
  std::vector<int64_t> before, after;
};

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(SentencePiece model, AddedTokens added, Options options)
      : model_(std::move(model)), added_(std::move(added)), options_(std::move(options)) {
    if (!options_.legacy) model_.encode(options_.unk_token, shield_);
  }

  std::vector<int64_t> encode(std::string_view text, bool add_special) const override {
    require(text.size() <= kMaxTextBytes, "tokenizer: a text has {} bytes, at most {} are taken (cut it)", text.size(),
            kMaxTextBytes);
    std::vector<int64_t> ids;
    if (add_special) ids = options_.before;
    if (options_.legacy || text.empty()) {
      encode_parts(is_valid_utf8(text) ? std::string(text) : valid_utf8(text), ids);
    } else {
      encode_parts(spaced(valid_utf8(text)), ids);
    }
    if (add_special) ids.insert(ids.end(), options_.after.begin(), options_.after.end());
    return ids;
  }

  std::string decode(std::span<const int64_t> ids, bool skip_special) const override {
    std::string text;
    std::vector<int64_t> run;
    bool at_start = true;
    const auto flush = [&] {
      if (run.empty()) return;
      std::string part = model_.decode(run, at_start);
      // The prefix that isn't the model's own.
      const bool prefixed = at_start && !options_.legacy && options_.add_prefix_space;
      if (prefixed && part.starts_with(' ') && model_.piece(run[0]).text.starts_with(kSpaceSymbol)) part.erase(0, 1);
      text += part;
      at_start = false;
      run.clear();
    };
    for (const int64_t id : ids) {
      if (const AddedToken* token = added_.find(id)) {
        if (skip_special && token->special) continue;
        flush();
        at_start = false;
        text += token->content;
      } else {
        require(id >= 0 && id < model_.size(), "tokenizer: id {} has no token (ids are below {})", id, vocab_size());
        run.push_back(id);
      }
    }
    flush();
    return text;
  }

  int64_t vocab_size() const override { return std::max(model_.size(), added_.end()); }

  std::optional<int64_t> id_of(std::string_view token) const override {
    if (const AddedToken* added = added_.find(token)) return added->id;
    const auto id = model_.id_of(token);
    // An added token may have taken the id of an unused piece.
    return id && added_.find(*id) == nullptr ? id : std::nullopt;
  }

  std::string token_of(int64_t id) const override {
    if (const AddedToken* added = added_.find(id)) return added->content;
    require(id >= 0 && id < model_.size(), "tokenizer: id {} has no token (ids are below {})", id, vocab_size());
    return model_.piece(id).text;
  }

  bool is_special(int64_t id) const override {
    if (const AddedToken* added = added_.find(id)) return added->special;
    if (id < 0 || id >= model_.size()) return false;
    const SentencePieceFile::Type type = model_.piece(id).type;
    return type == SentencePieceFile::Type::kControl || type == SentencePieceFile::Type::kUnknown;
  }

 private:
  /// U+2581 as a space, and the dummy prefix.
  std::string spaced(const std::string& text) const {
    return (options_.add_prefix_space ? std::string(kSpaceSymbol) : "") + replace_all(text, kSpaceSymbol, " ");
  }

  bool token_is_space(int64_t id) const {
    return added_.find(id) == nullptr && id < model_.size() && model_.piece(id).text == kSpaceSymbol;
  }

  void encode_parts(const std::string& text, std::vector<int64_t>& ids) const {
    std::vector<AddedTokens::Part> parts;
    added_.split(text, false, parts);
    const size_t start = ids.size();
    for (size_t i = 0; i < parts.size(); ++i) {
      const AddedToken* token = parts[i].token;
      if (token == nullptr) {
        encode_stretch(parts[i].text, ids);
        continue;
      }
      // The dummy prefix of a text that begins with a special token belongs to nobody.
      if (!options_.legacy && token->special && i == 1 && ids.size() == start + 1 && token_is_space(ids[start])) ids.pop_back();
      ids.push_back(token->id);
    }
  }

  void encode_stretch(std::string_view text, std::vector<int64_t>& ids) const {
    if (options_.legacy || !(text.starts_with(kSpaceSymbol) || text.starts_with(' '))) return model_.encode(text, ids);
    // The model would trim a leading space; behind the unknown token's text it keeps it, and that text's ids are known.
    std::vector<int64_t> shielded;
    model_.encode(options_.unk_token + std::string(text), shielded);
    const size_t skip = shielded.size() >= shield_.size() ? shield_.size() : 0;
    ids.insert(ids.end(), shielded.begin() + static_cast<std::ptrdiff_t>(skip), shielded.end());
  }

  SentencePiece model_;
  AddedTokens added_;
  Options options_;
  std::vector<int64_t> shield_;  ///< ids of the unknown token's text
};

/// The name of a control piece, empty when the model has none of that name.
std::string control(const SentencePiece& model, const std::string& piece) {
  const auto id = model.id_of(piece);
  return id && model.piece(*id).type == SentencePieceFile::Type::kControl ? piece : "";
}

void add_sentinels(FolderTokens& tokens, int64_t model_size) {
  const int64_t count = JsonView(tokens.config, tokens.config_path).integer_in("extra_ids", 0, 4096, 100);
  for (int64_t i = count - 1; i >= 0; --i) {
    AddedToken token = plain_special(fmt::format("<extra_id_{}>", i));
    token.lstrip = token.rstrip = true;
    token.id = static_cast<int32_t>(model_size + count - 1 - i);
    tokens.add(std::move(token));
  }
}

}  // namespace

std::shared_ptr<const Tokenizer> make_sentencepiece_tokenizer(SentencePieceFile file, FolderTokens tokens,
                                                              const std::string& origin) {
  Options options;
  options.legacy = tokens.flag("legacy", true);
  options.add_prefix_space = tokens.flag("add_prefix_space", true);
  if (!options.legacy) file.normalizer.add_dummy_prefix = false;
  SentencePiece model(std::move(file), origin);

  options.unk_token = tokens.special_or("unk_token", model.piece(model.unknown_id()).text);
  const std::string bos = tokens.special_or("bos_token", control(model, model.file().bos_piece));
  const std::string eos = tokens.special_or("eos_token", control(model, model.file().eos_piece));
  tokens.special_or("pad_token", control(model, model.file().pad_piece));
  if (tokens.tokenizer_class == "T5Tokenizer") add_sentinels(tokens, model.size());

  int64_t next = model.size();
  for (const AddedToken& token : tokens.tokens) next = std::max<int64_t>(next, token.id + 1);
  for (AddedToken& token : tokens.tokens) {
    if (token.id >= 0) continue;
    const auto known = model.id_of(token.content);
    token.id = static_cast<int32_t>(known ? *known : next++);
  }
  AddedTokens added(std::move(tokens.tokens), origin);

  if (!bos.empty() && tokens.flag("add_bos_token", true)) options.before.push_back(added.find(bos)->id);
  if (!eos.empty() && tokens.flag("add_eos_token", bos.empty())) options.after.push_back(added.find(eos)->id);
  return std::make_shared<SentencePieceTokenizer>(std::move(model), std::move(added), std::move(options));
}

}  // namespace ocelli::text
