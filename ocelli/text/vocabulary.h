#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::text {

/// Ids never reach this, whatever a file says: tables are as long as the largest id.
constexpr int64_t kMaxTokenId = int64_t{1} << 21;

/// Lets maps keyed by string be asked with a string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <typename Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

/// Tokens and their ids, one to one; ids may have gaps.
class Vocabulary {
 public:
  /// `vocab`: an object of token to id. Throws Error when an id is given twice, is negative, is 2^21 or more, or is out of
  /// proportion (at least twice the entries + 65,536), or a token is no valid UTF-8.
  explicit Vocabulary(const JsonView& vocab);
  /// Tokens by their ids; of equal ones the last is found. Throws Error naming `path` when one is no valid UTF-8, or there are
  /// more than 2^21.
  Vocabulary(const std::vector<std::string>& tokens, const std::string& path);

  std::optional<int32_t> id_of(std::string_view token) const;
  /// nullptr for an id that has no token.
  const std::string* token_of(int64_t id) const;
  /// Number of tokens.
  size_t size() const { return ids_.size(); }
  /// One more than the largest id.
  int64_t end() const { return static_cast<int64_t>(tokens_.size()); }

 private:
  StringMap<int32_t> ids_;
  std::vector<const std::string*> tokens_;  // keys of ids_, which stay in place
};

}  // namespace ocelli::text
