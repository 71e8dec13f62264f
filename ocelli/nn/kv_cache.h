#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "ocelli/nn/attention_layout.h"

namespace ocelli::nn {

struct KvCacheConfig {
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_width = 0;
  int64_t block_size = 64;  ///< rows of one block
  int64_t blocks = 0;       ///< in the pool of each layer
  at::ScalarType dtype = at::kFloat;

  /// Bytes of the whole pool, keys and values.
  int64_t bytes() const;
};

/// Keys and values of decoded sequences in blocks of `block_size` rows. A sequence is a table of blocks, the same in every layer;
/// blocks are reference-counted, and a shared last block is copied when one of its owners writes.
/// The pool of a layer is one tensor, so blocks are spans of an AttentionLayout and attention reads them in place.
/// Source of the idea: PagedAttention, Kwon et al., arXiv:2309.06180.
class KvCache {
 public:
  /// Allocates the pool. Throws Error on sizes that are not positive or overflow.
  explicit KvCache(const KvCacheConfig& config);

  const KvCacheConfig& config() const { return config_; }
  int64_t free_blocks() const { return static_cast<int64_t>(free_.size()); }

  /// A new, empty sequence.
  int64_t add_sequence();
  /// A sequence that starts as a copy of another; whole blocks are shared.
  int64_t fork(int64_t sequence);
  /// Gives the sequence's blocks back.
  void remove(int64_t sequence);

  /// Rows written to `layer` (layers differ only inside a forward pass).
  int64_t length(int64_t sequence, int64_t layer = 0) const;
  /// Makes room for `rows` more in every layer. Throws Error naming the wanted and the free number of blocks when the pool is
  /// spent; nothing changes then.
  void reserve(int64_t sequence, int64_t rows);
  /// Appends keys and values [T, K, E] of one layer; reserve() must have made room.
  void append(int64_t sequence, int64_t layer, const at::Tensor& key, const at::Tensor& value);
  /// Drops rows from the end, in every layer.
  void truncate(int64_t sequence, int64_t length);

  /// All rows of a layer's pool: [blocks * block_size, K, E].
  at::Tensor keys(int64_t layer) const;
  at::Tensor values(int64_t layer) const;

  /// Adds the spans by which query rows [query_begin, query_end), which are about to be appended to the sequence, see all rows
  /// before them and, causally or both ways, each other. Call after reserve() and before append().
  void add_spans(int64_t sequence, int64_t query_begin, int64_t query_end, AttentionLayout& layout, bool causal = true) const;

  /// Keys and values that never grow, of `layer`: the encoder's memory a cross-attention layer reads. [S, K, E].
  void set_memory(int64_t sequence, int64_t layer, at::Tensor key, at::Tensor value);
  /// Undefined tensors when none was set.
  std::pair<at::Tensor, at::Tensor> memory(int64_t sequence, int64_t layer) const;

 private:
  struct Sequence {
    std::vector<int64_t> table;
    std::vector<int64_t> lengths;  ///< by layer
    std::unordered_map<int64_t, std::pair<at::Tensor, at::Tensor>> memory;
  };
  Sequence& at(int64_t sequence);
  const Sequence& at(int64_t sequence) const;
  int64_t take_block();
  void release_block(int64_t block);

  KvCacheConfig config_;
  std::vector<at::Tensor> keys_, values_;  ///< by layer: [blocks * block_size, K, E]
  std::vector<int64_t> references_;        ///< by block
  std::vector<int64_t> free_;              ///< taken from the back, lowest block last, so that tables run upwards
  std::unordered_map<int64_t, Sequence> sequences_;
  int64_t next_sequence_ = 0;
};

}  // namespace ocelli::nn
