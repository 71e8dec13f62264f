#include "ocelli/text/vocabulary.h"

#include <algorithm>

#include "ocelli/text/utf8.h"

namespace ocelli::text {

Vocabulary::Vocabulary(const JsonView& vocab) {
  const Json& entries = vocab.value();
  require(entries.is_object(), "{} must be an object of token to id", vocab.path());
  const int64_t limit = std::min(kMaxTokenId, 2 * static_cast<int64_t>(entries.size()) + 65'536);
  ids_.reserve(entries.size());
  int64_t largest = -1;
  for (const auto& [token, value] : entries.items()) {
    require(is_valid_utf8(token), "{}: a token is no valid UTF-8", vocab.path());
    require(value.is_number_integer(), "{}: the id of '{}' is no integer", vocab.path(), token);
    require(value >= 0 && value < limit, "{}: the id of '{}' is {}, expected 0 to {} for {} tokens", vocab.path(), token,
            value.dump(), limit - 1, entries.size());
    const auto id = value.get<int32_t>();
    ids_.emplace(token, id);
    largest = std::max<int64_t>(largest, id);
  }
  tokens_.assign(static_cast<size_t>(largest + 1), nullptr);
  for (const auto& [token, id] : ids_) {
    const std::string*& slot = tokens_[static_cast<size_t>(id)];
    require(slot == nullptr, "{}: id {} is given to two tokens, '{}' and '{}'", vocab.path(), id, slot ? *slot : token, token);
    slot = &token;
  }
}

Vocabulary::Vocabulary(const std::vector<std::string>& tokens, const std::string& path) {
  require(tokens.size() <= static_cast<size_t>(kMaxTokenId), "{} has {} tokens, at most {} are taken", path, tokens.size(),
          kMaxTokenId);
  ids_.reserve(tokens.size());
  tokens_.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    require(is_valid_utf8(tokens[i]), "{}: token {} is no valid UTF-8", path, i);
    const auto place = ids_.insert_or_assign(tokens[i], static_cast<int32_t>(i)).first;
    tokens_.push_back(&place->first);
  }
}

std::optional<int32_t> Vocabulary::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* Vocabulary::token_of(int64_t id) const {
  return id < 0 || id >= end() ? nullptr : tokens_[static_cast<size_t>(id)];
}

}  // namespace ocelli::text
