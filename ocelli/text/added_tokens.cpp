#include "ocelli/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "ocelli/base/log.h"
#include "ocelli/text/unicode.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

// A search step walks at most this far, so texts stay linear even against hostile tokens.
constexpr size_t kMaxAddedTokenBytes = 1024;

uint64_t edge(uint32_t node, char byte) {
  return (static_cast<uint64_t>(node) << 8) | static_cast<uint8_t>(byte);
}

AddedToken read_token(const JsonView& view, const Normalizer* normalizer) {
  AddedToken token{.content = view.string("content"),
                   .normalized_content = {},
                   .id = 0,
                   .special = view.boolean("special", false),
                   .single_word = view.boolean("single_word", false),
                   .lstrip = view.boolean("lstrip", false),
                   .rstrip = view.boolean("rstrip", false),
                   .normalized = view.boolean("normalized", true)};
  require(!token.content.empty(), "{}: an added token is empty", view.path());
  require(token.content.size() <= kMaxAddedTokenBytes, "{}: an added token has {} bytes, at most {} are allowed", view.path(),
          token.content.size(), kMaxAddedTokenBytes);
  require(is_valid_utf8(token.content), "{}: content is no valid UTF-8", view.path());
  token.normalized_content = token.content;
  if (token.normalized && normalizer != nullptr) {
    normalizer->apply(token.normalized_content);
    require(token.normalized_content.size() <= 2 * kMaxAddedTokenBytes, "{}: normalized, the added token has {} bytes",
            view.path(), token.normalized_content.size());
  }
  return token;
}

bool word_ends_at(std::string_view text, size_t pos) {
  return pos > 0 && is_word(code_point_at(text, previous_start(text, pos)).value);
}

bool word_starts_at(std::string_view text, size_t pos) {
  return pos < text.size() && is_word(code_point_at(text, pos).value);
}

}  // namespace

void StringFinder::add(std::string_view text, int32_t value) {
  if (text.empty()) return;
  if (values_.empty()) values_.push_back(-1);
  starts_[static_cast<uint8_t>(text[0])] = true;
  uint32_t node = 0;
  for (const char byte : text) {
    const auto [place, inserted] = edges_.emplace(edge(node, byte), static_cast<uint32_t>(values_.size()));
    if (inserted) values_.push_back(-1);
    node = place->second;
  }
  if (values_[node] < 0) values_[node] = value;
}

StringFinder::Found StringFinder::find(std::string_view text, size_t from) const {
  if (empty()) return {};
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<uint8_t>(text[begin])]) continue;
    Found best;
    uint32_t node = 0;
    for (size_t pos = begin; pos < text.size(); ++pos) {
      const auto next = edges_.find(edge(node, text[pos]));
      if (next == edges_.end()) break;
      node = next->second;
      if (values_[node] >= 0) best = {begin, pos + 1, values_[node]};
    }
    if (best.value >= 0) return best;
  }
  return {};
}

AddedTokens::AddedTokens(const Json& list, const std::string& path, const Vocabulary& vocabulary, const Normalizer* normalizer) {
  if (list.is_null()) return;
  require(list.is_array(), "{} must be an array", path);
  const auto vocabulary_size = static_cast<int64_t>(vocabulary.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const JsonView view(list[i], fmt::format("{}[{}]", path, i));
    AddedToken token = read_token(view, normalizer);
    if (by_content_.contains(token.content)) continue;
    if (const auto known = vocabulary.id_of(token.content)) {
      token.id = *known;
    } else {
      const int64_t next = std::max(end_, vocabulary_size);
      require(next < kMaxTokenId, "{}: no id is left for '{}'", view.path(), token.content);
      if (const std::string* taken = vocabulary.token_of(next)) {
        fail("{}: '{}' would get id {}, which is that of '{}': the vocabulary has gaps", view.path(), token.content, next,
             *taken);
      }
      token.id = static_cast<int32_t>(next);
    }
    const int64_t stated = view.integer("id", token.id);
    if (stated != token.id) {
      log::warning("{}: '{}' is said to have id {}, but gets {} as in `tokenizers`", view.path(), token.content, stated,
                   token.id);
    }
    keep(std::move(token));
  }
  index();
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const std::string& path) {
  for (AddedToken& token : tokens) {
    if (by_content_.contains(token.content)) continue;
    const AddedToken* taken = find(token.id);
    require(taken == nullptr, "{}: the id {} is given to '{}' and '{}'", path, token.id, taken ? taken->content : "",
            token.content);
    token.normalized = false;
    keep(std::move(token));
  }
  index();
}

void AddedTokens::keep(AddedToken token) {
  end_ = std::max<int64_t>(end_, token.id + 1);
  by_content_.emplace(token.content, tokens_.size());
  by_id_.emplace(token.id, tokens_.size());
  tokens_.push_back(std::move(token));
}

void AddedTokens::index() {
  // Special tokens come first, as in `tokenizers`: of two that normalize to one text the first is found.
  for (const bool special : {true, false}) {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const AddedToken& token = tokens_[i];
      if (token.special != special) continue;
      (token.normalized ? normalized_ : raw_)
          .add(token.normalized ? token.normalized_content : token.content, static_cast<int32_t>(i));
    }
  }
}

void AddedTokens::split(std::string_view text, bool normalized, std::vector<Part>& parts) const {
  const StringFinder& finder = normalized ? normalized_ : raw_;
  size_t covered = 0;
  size_t from = 0;
  while (true) {
    const StringFinder::Found found = finder.find(text, from);
    if (found.value < 0) break;
    from = found.end;
    size_t begin = found.begin, end = found.end;
    const AddedToken& token = tokens_[static_cast<size_t>(found.value)];
    if (token.single_word && (word_ends_at(text, begin) || word_starts_at(text, end))) continue;
    if (token.lstrip) {
      while (begin > covered) {
        const size_t start = previous_start(text, begin);
        if (!is_space(code_point_at(text, start).value)) break;
        begin = start;
      }
    }
    if (token.rstrip) {
      while (end < text.size()) {
        const CodePoint point = code_point_at(text, end);
        if (!is_space(point.value)) break;
        end += point.bytes;
      }
    }
    if (covered < begin) parts.push_back({text.substr(covered, begin - covered), nullptr});
    parts.push_back({text.substr(begin, end - begin), &token});
    covered = end;
  }
  if (covered < text.size()) parts.push_back({text.substr(covered), nullptr});
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace ocelli::text
