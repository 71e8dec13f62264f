#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ocelli/text/byte_trie.h"
#include "ocelli/text/model.h"

namespace ocelli::text {

/// The most likely tokens under a unigram model (Kudo, arXiv:1804.10959), as `tokenizers` finds them; it differs from
/// SentencePiece in keeping sums as doubles and in looking up the joined text of a run of unknown characters. Stretches of
/// unknown characters become one unknown token, or with byte_fallback the bytes of the stretch.
class Unigram final : public TokenModel {
 public:
  /// `vocab`: a list of [token, log probability]; a token's id is its place, of equal ones the last. Throws Error for what
  /// Vocabulary refuses, a token above 4,096 bytes, a score that is not finite, or an `unk_id` outside the list.
  explicit Unigram(const JsonView& model);

  /// Throws Error when an unknown token is needed and there is none.
  void encode(std::string_view piece, std::vector<int64_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  void add_text(std::string_view text, std::vector<int64_t>& ids) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  ByteTrie trie_;
  double min_score_ = 0;
  int32_t unknown_ = -1;
  bool byte_fallback_ = false;
  std::array<int32_t, 256> byte_ids_{};
};

}  // namespace ocelli::text
