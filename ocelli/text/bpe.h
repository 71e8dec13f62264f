#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/text/model.h"
#include "ocelli/text/vocabulary.h"
#include "ocelli/text/word_cache.h"

namespace ocelli::text {

/// What a pair of ids merges into. A flat table with linear probing: it is asked for every neighbouring pair.
class MergeTable {
 public:
  struct Merge {
    uint64_t pair = kEmpty;
    uint32_t rank = 0;
    int32_t id = 0;
  };

  explicit MergeTable(size_t count);
  /// A pair given again takes the later rank, as in `tokenizers`.
  void set(int32_t left, int32_t right, uint32_t rank, int32_t id);
  /// nullptr when the pair doesn't merge.
  const Merge* find(int32_t left, int32_t right) const;

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  size_t slot_of(uint64_t pair) const;
  std::vector<Merge> slots_;
  int shift_ = 0;
};

/// Byte pair encoding (Sennrich et al., arXiv:1508.07909): the pair of lowest rank is merged first, the leftmost of equals.
/// O(n log n) in the length of a piece.
class Bpe final : public TokenModel {
 public:
  /// `model` of a `tokenizer.json` with `"type": "BPE"` (or none, as old files have it). Throws Error naming what is wrong or
  /// not supported: dropout, a merge of unknown tokens, what Vocabulary refuses.
  explicit Bpe(const JsonView& model);

  /// Appends the ids of one piece (valid UTF-8). A character outside the vocabulary becomes its `<0xNN>` bytes (byte_fallback),
  /// else the unknown token, else nothing. Throws Error when the unknown token itself is unknown.
  void encode(std::string_view piece, std::vector<int64_t>& ids) const override;

  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Scratch;
  void encode_uncached(std::string_view piece, std::vector<int64_t>& ids) const;
  void spell(std::string_view piece, Scratch& scratch) const;
  void merge(Scratch& scratch) const;
  int32_t unknown_id() const;
  void load_merges(const JsonView& model);

  Vocabulary vocabulary_;
  MergeTable merges_;
  std::string unk_token_;
  std::string prefix_;
  std::string suffix_;
  bool has_unk_ = false;
  bool fuse_unk_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
  std::array<int32_t, 256> byte_ids_{};  ///< of `<0xNN>`; -1 when absent
  static constexpr size_t kDirect = 0x400;
  std::array<int32_t, kDirect> direct_ids_{};  ///< of one-character tokens below U+0400; -1 when absent
  WordCache cache_;
};

}  // namespace ocelli::text
