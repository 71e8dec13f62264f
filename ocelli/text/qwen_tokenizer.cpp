#include "ocelli/text/qwen_tokenizer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/text/added_tokens.h"
#include "ocelli/text/base64.h"
#include "ocelli/text/byte_level.h"
#include "ocelli/text/pattern.h"
#include "ocelli/text/piece_merge.h"
#include "ocelli/text/unicode.h"
#include "ocelli/text/utf8.h"
#include "ocelli/text/vocabulary.h"
#include "ocelli/text/word_cache.h"

namespace ocelli::text {

namespace {

constexpr size_t kMaxTextBytes = 64ULL << 20;
constexpr size_t kMaxTokenBytes = 4096;
constexpr int64_t kMaxImageSpan = 1 << 20;

/// Byte strings by their ranks, which are their ids: 0, 1, 2, …
class Ranks {
 public:
  Ranks(std::string_view file, const std::string& origin) {
    size_t number = 0;
    while (!file.empty()) {
      const size_t end = std::min(file.find('\n'), file.size());
      std::string_view line = file.substr(0, end);
      file.remove_prefix(std::min(end + 1, file.size()));
      ++number;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) add(line, fmt::format("{}: line {}", origin, number));
    }
    for (size_t i = 0; i < bytes_.size(); ++i) {
      require(bytes_[i] != nullptr, "{}: no token has the rank {}, expected all of 0 to {}", origin, i, bytes_.size() - 1);
      longest_ = std::max(longest_, bytes_[i]->size());
    }
    for (int byte = 0; byte < 256; ++byte) {
      require(find(std::string(1, static_cast<char>(byte))).has_value(), "{}: the byte 0x{:02X} has no rank", origin, byte);
    }
  }

  std::optional<int32_t> find(std::string_view bytes) const {
    if (bytes.size() > longest_) return std::nullopt;
    const auto found = ids_.find(bytes);
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }
  const std::string& bytes(int64_t id) const { return *bytes_[static_cast<size_t>(id)]; }
  int64_t size() const { return static_cast<int64_t>(bytes_.size()); }

 private:
  void add(std::string_view line, const std::string& where) {
    const size_t space = line.find(' ');
    require(space != std::string_view::npos, "{} is not a token in base64, a space and a rank", where);
    std::string bytes = decode_base64(line.substr(0, space), where);
    require(!bytes.empty() && bytes.size() <= kMaxTokenBytes, "{}: the token has {} bytes, expected 1 to {}", where, bytes.size(),
            kMaxTokenBytes);
    const std::string_view digits = line.substr(space + 1);
    int64_t rank = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    require(error == std::errc() && end == digits.data() + digits.size() && rank >= 0 && rank < kMaxTokenId,
            "{}: the rank '{}' is no number from 0 to {}", where, digits.substr(0, 40), kMaxTokenId - 1);
    const auto [place, inserted] = ids_.emplace(std::move(bytes), static_cast<int32_t>(rank));
    require(inserted, "{}: the token has the rank {} already", where, place->second);
    const auto index = static_cast<size_t>(rank);
    if (index >= bytes_.size()) bytes_.resize(index + 1, nullptr);
    require(bytes_[index] == nullptr, "{}: the rank {} is given twice", where, rank);
    bytes_[index] = &place->first;
  }

  StringMap<int32_t> ids_;
  std::vector<const std::string*> bytes_;  // keys of ids_, which stay in place
  size_t longest_ = 1;
};

std::vector<AddedToken> special_tokens(int64_t first, bool vision) {
  std::vector<std::string> names = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (int i = 0; i < 205; ++i) names.push_back(fmt::format("<|extra_{}|>", i));
  if (vision) {
    for (const char* name : {"<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>", "<img>", "</img>", "<imgpad>"}) {
      names.emplace_back(name);
    }
  }
  std::vector<AddedToken> tokens;
  for (std::string& name : names) {
    AddedToken token;
    token.content = std::move(name);
    token.normalized_content = token.content;
    token.id = static_cast<int32_t>(first + static_cast<int64_t>(tokens.size()));
    token.special = true;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

class QwenTokenizer final : public Tokenizer {
 public:
  QwenTokenizer(std::string_view ranks, const std::string& origin, const QwenOptions& options)
      : ranks_(ranks, origin),
        special_(special_tokens(ranks_.size(), options.vision), origin),
        pattern_(qwen2_pattern()),
        image_span_(options.image_span) {
    if (!options.vision) return;
    image_start_ = special_.find("<img>")->id;
    image_end_ = special_.find("</img>")->id;
    image_pad_ = special_.find("<imgpad>")->id;
  }

  std::vector<int64_t> encode(std::string_view text, bool /*add_special*/) const override {
    require(text.size() <= kMaxTextBytes, "tokenizer: a text has {} bytes, at most {} are taken (cut it)", text.size(),
            kMaxTextBytes);
    const std::string normalized = compose_unicode(valid_utf8(text));
    std::vector<AddedTokens::Part> parts;
    special_.split(normalized, false, parts);
    std::vector<int64_t> ids;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].token == nullptr) {
        encode_text(parts[i].text, ids);
        continue;
      }
      ids.push_back(parts[i].token->id);
      if (parts[i].token->id == image_start_) i = encode_path(parts, i + 1, ids);
    }
    return ids;
  }

  std::string decode(std::span<const int64_t> ids, bool skip_special) const override {
    std::string bytes;
    for (size_t i = 0; i < ids.size(); ++i) {
      const int64_t id = ids[i];
      if (const AddedToken* token = special_.find(id)) {
        if (!skip_special) bytes += token->content;
        if (id == image_start_) i = decode_path(ids, i, bytes);
      } else {
        bytes += bytes_of(id);
      }
    }
    return valid_utf8(bytes);
  }

  int64_t vocab_size() const override { return special_.end(); }

  std::optional<int64_t> id_of(std::string_view token) const override {
    if (const AddedToken* special = special_.find(token)) return special->id;
    std::string bytes;
    for (size_t pos = 0; pos < token.size();) {
      const CodePoint point = code_point_at(token, pos);
      const auto byte = byte_of(point.value);
      if (!byte) return std::nullopt;
      bytes += static_cast<char>(*byte);
      pos += point.bytes;
    }
    return ranks_.find(bytes);
  }

  std::string token_of(int64_t id) const override {
    if (const AddedToken* special = special_.find(id)) return special->content;
    std::string token;
    append_byte_level(token, bytes_of(id));
    return token;
  }

  bool is_special(int64_t id) const override { return special_.find(id) != nullptr; }

 private:
  const std::string& bytes_of(int64_t id) const {
    require(id >= 0 && id < ranks_.size(), "tokenizer: id {} has no token (ids are below {})", id, vocab_size());
    return ranks_.bytes(id);
  }

  void encode_text(std::string_view text, std::vector<int64_t>& ids) const {
    std::vector<Span> spans;
    pattern_->cover(text, spans);
    for (const Span& span : spans) {
      const std::string_view piece = text.substr(span.begin, span.end - span.begin);
      if (cache_.find(piece, ids)) continue;
      const size_t before = ids.size();
      encode_piece(piece, ids);
      cache_.insert(piece, ids.data() + before, ids.size() - before);
    }
  }

  void encode_piece(std::string_view piece, std::vector<int64_t>& ids) const {
    if (const auto id = ranks_.find(piece)) {
      ids.push_back(*id);
      return;
    }
    PieceMerger merger;
    for (size_t i = 0; i < piece.size(); ++i) merger.add(static_cast<uint32_t>(i), 1, false);
    merger.merge(piece, [this](uint32_t, std::string_view joined) -> std::optional<double> {
      const auto rank = ranks_.find(joined);
      if (!rank) return std::nullopt;
      return static_cast<double>(*rank);
    });
    for (const PieceSymbol& symbol : merger.symbols()) {
      if (symbol.size > 0) ids.push_back(*ranks_.find(piece.substr(symbol.begin, symbol.size)));
    }
  }

  /// The path from parts[i] on; returns the index of the part that is `</img>`.
  size_t encode_path(const std::vector<AddedTokens::Part>& parts, size_t i, std::vector<int64_t>& ids) const {
    const bool empty = i < parts.size() && parts[i].token != nullptr && parts[i].token->id == image_end_;
    const size_t end = empty ? i : i + 1;
    require(end < parts.size() && (empty || parts[i].token == nullptr) && parts[end].token != nullptr &&
                parts[end].token->id == image_end_,
            "tokenizer: <img> isn't followed by a path and </img>");
    const std::string_view path = empty ? std::string_view() : parts[i].text;
    const auto span = static_cast<size_t>(image_span_);
    require(path.size() <= span, "tokenizer: the path between <img> and </img> has {} bytes, at most {} fit", path.size(), span);
    for (const char byte : path) ids.push_back(static_cast<uint8_t>(byte));
    ids.insert(ids.end(), span - path.size(), image_pad_);
    ids.push_back(image_end_);
    return end;
  }

  /// The path after `<img>` at ids[i], up to the first pad; returns the index of the last id read.
  size_t decode_path(std::span<const int64_t> ids, size_t i, std::string& bytes) const {
    while (i + 1 < ids.size() && ids[i + 1] >= 0 && ids[i + 1] < 256) bytes += static_cast<char>(ids[++i]);
    while (i + 1 < ids.size() && ids[i + 1] == image_pad_) ++i;
    return i;
  }

  Ranks ranks_;
  AddedTokens special_;
  std::unique_ptr<const Pattern> pattern_;
  WordCache cache_;
  int64_t image_span_;
  int64_t image_start_ = -1, image_end_ = -1, image_pad_ = -1;
};

}  // namespace

std::shared_ptr<const Tokenizer> make_qwen_tokenizer(std::string_view ranks, const std::string& origin,
                                                     const QwenOptions& options) {
  require(options.image_span >= 1 && options.image_span <= kMaxImageSpan, "{}: an image span of {} ids, expected 1 to {}", origin,
          options.image_span, kMaxImageSpan);
  return std::make_shared<QwenTokenizer>(ranks, origin, options);
}

}  // namespace ocelli::text
