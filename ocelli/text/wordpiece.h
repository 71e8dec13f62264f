#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/text/byte_trie.h"
#include "ocelli/text/model.h"

namespace ocelli::text {

/// BERT's WordPiece (Wu et al., arXiv:1609.08144, section 4.1): from the left the longest token each time,
/// `continuing_subword_prefix` before all but the first. A word with a part that is no token, or longer than
/// max_input_chars_per_word, is the unknown token.
class WordPiece final : public TokenModel {
 public:
  /// Throws Error for what Vocabulary refuses, or a max_input_chars_per_word above 4,096.
  explicit WordPiece(const JsonView& model);

  /// Throws Error when the unknown token is needed and isn't in the vocabulary.
  void encode(std::string_view piece, std::vector<int64_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
  ByteTrie first_, following_;  ///< tokens that begin a word; those that go on with one, without the prefix
  std::string unk_token_;
  int64_t max_input_chars_;
};

}  // namespace ocelli::text
