#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/text/byte_trie.h"
#include "ocelli/text/charsmap.h"
#include "ocelli/text/sentencepiece_file.h"
#include "ocelli/text/vocabulary.h"

namespace ocelli::text {

/// SentencePiece's normalizer: charsmap, white space, and user-defined pieces left as they are.
class SentencePieceNormalizer {
 public:
  SentencePieceNormalizer(const SentencePieceFile::Normalizer& rules, bool space_behind, const std::string& origin);

  /// `kept`: pieces that are copied as they are. Throws Error when the text grows beyond 64 times its size plus 1 MiB, or 1 GiB.
  std::string apply(std::string_view text, const ByteTrie& kept) const;

 private:
  struct Prefix {
    std::string_view replacement;
    size_t length = 0;
  };
  Prefix prefix(std::string_view text, const ByteTrie& kept) const;

  Charsmap charsmap_;
  std::string_view space_;  ///< what a space becomes
  bool add_dummy_prefix_, remove_extra_whitespaces_, space_behind_;
};

/// A SentencePiece model (Kudo and Richardson, arXiv:1808.06226): BPE with or without byte fallback, and Unigram. Ids and texts
/// are those of the `sentencepiece` package 0.2, special tokens in the text being plain text as there. Differs: where two
/// cuttings under Unigram are equally likely but for rounding, the other may be taken behind a user-defined piece. Immutable; for
/// many threads.
class SentencePiece {
 public:
  /// Throws Error naming `origin` for pieces given twice, no unknown piece or two, or byte pieces that aren't all 256.
  SentencePiece(SentencePieceFile file, const std::string& origin);

  /// Appends the ids of `text`.
  void encode(std::string_view text, std::vector<int64_t>& ids) const;
  /// Text of ids (each in [0, size())): control pieces are nothing, bytes that form no character U+FFFD. `at_start`: the ids
  /// begin a text, so that the dummy prefix is taken off.
  std::string decode(std::span<const int64_t> ids, bool at_start) const;

  int64_t size() const { return static_cast<int64_t>(file_.pieces.size()); }
  const SentencePieceFile::Piece& piece(int64_t id) const { return file_.pieces[static_cast<size_t>(id)]; }
  std::optional<int64_t> id_of(std::string_view piece) const;
  int64_t unknown_id() const { return unknown_; }
  const SentencePieceFile& file() const { return file_; }

 private:
  using Type = SentencePieceFile::Type;
  struct Found {
    uint32_t begin, size;
    int32_t id;
  };
  void add_piece(int32_t id, const std::string& origin);
  void encode_bpe(std::string_view text, std::vector<Found>& found) const;
  void encode_unigram(std::string_view text, std::vector<Found>& found) const;
  int32_t id_or_unknown(std::string_view piece) const;
  Type type(int64_t id) const { return piece(id).type; }

  SentencePieceFile file_;
  StringMap<int32_t> pieces_;    ///< normal, user-defined and unused ones: what text can become
  StringMap<int32_t> reserved_;  ///< unknown, control and byte pieces
  ByteTrie trie_;                ///< of pieces_, for Unigram
  ByteTrie user_defined_;
  SentencePieceNormalizer normalizer_, denormalizer_;
  std::array<int32_t, 256> byte_ids_{};
  std::vector<int16_t> bytes_;  ///< the byte of an id, -1 for others
  int32_t unknown_ = -1;
  size_t longest_ = 0;  ///< bytes of the longest piece
  float min_score_ = 0, max_score_ = 0;
};

}  // namespace ocelli::text
