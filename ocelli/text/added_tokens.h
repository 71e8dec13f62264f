#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/text/normalizer.h"
#include "ocelli/text/vocabulary.h"

namespace ocelli::text {

/// A token found in the text as it is, before the model sees it.
struct AddedToken {
  std::string content;
  std::string normalized_content;  ///< what is looked for, when `normalized`
  int32_t id = 0;
  bool special = false;
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< and after it
  bool normalized = false;   ///< looked for in the normalized text
};

/// Finds the longest of several strings at the leftmost place one of them starts.
class StringFinder {
 public:
  /// Of equal strings the first counts.
  void add(std::string_view text, int32_t value);
  struct Found {
    size_t begin = 0, end = 0;
    int32_t value = -1;  ///< -1: none
  };
  Found find(std::string_view text, size_t from) const;
  bool empty() const { return values_.empty(); }

 private:
  // A trie: (node, byte) -> node. Texts rarely hold a byte that starts one, so the walk is rarely entered.
  std::unordered_map<uint64_t, uint32_t> edges_;
  std::vector<int32_t> values_;
  std::array<bool, 256> starts_{};
};

/// `added_tokens` of a `tokenizer.json`.
class AddedTokens {
 public:
  /// Ids follow `tokenizers`: the vocabulary's where it has the token, else the next free one, whatever the file says (a
  /// difference is logged). Throws Error for an empty token, one above 1,024 bytes, or an id that is taken.
  AddedTokens(const Json& list, const std::string& path, const Vocabulary& vocabulary, const Normalizer* normalizer);
  /// Tokens whose ids are known, looked for in raw text. Throws Error naming `path` when two have one id.
  AddedTokens(std::vector<AddedToken> tokens, const std::string& path);

  struct Part {
    std::string_view text;
    const AddedToken* token = nullptr;  ///< nullptr: text between added tokens
  };
  /// Cuts `text` at the added tokens that are looked for in raw (or in normalized) text.
  void split(std::string_view text, bool normalized, std::vector<Part>& parts) const;

  const AddedToken* find(std::string_view content) const;
  const AddedToken* find(int64_t id) const;
  /// One more than the largest id; 0 when there are none.
  int64_t end() const { return end_; }

 private:
  void keep(AddedToken token);
  void index();

  std::vector<AddedToken> tokens_;
  StringMap<size_t> by_content_;
  std::unordered_map<int64_t, size_t> by_id_;
  StringFinder raw_, normalized_;
  int64_t end_ = 0;
};

}  // namespace ocelli::text
