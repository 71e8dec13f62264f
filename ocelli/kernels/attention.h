#pragma once

#include <cstdint>
#include <span>

namespace ocelli::kernels {

/// Rows [key_begin, key_end) of the key and value arrays.
struct KeyRange {
  int64_t key_begin = 0;
  int64_t key_end = 0;
  /// Causal: query row i of its block (0 … n-1) sees keys up to key_end - n + i, that is, the last rows line up.
  bool causal = false;
  /// > 0: of those, only the last `window` keys (counted from the last one a causal row sees). 0: all.
  int64_t window = 0;
};

/// Query rows [query_begin, query_end) with everything they attend to. Ranges of one block are disjoint.
struct QueryBlock {
  int64_t query_begin = 0;
  int64_t query_end = 0;
  std::span<const KeyRange> ranges;
};

/// Row t, head h of an array is at data + t * row_stride + h * head_stride; the E elements of a head are contiguous.
template <typename T>
struct HeadArray {
  T* data = nullptr;
  int64_t row_stride = 0;
  int64_t head_stride = 0;
};

/// Scaled dot-product attention over blocks, with an online softmax over tiles of keys (Dao et al., arXiv:2205.14135;
/// Milakov and Gimelshein, arXiv:1805.02867). No T x T array exists.
/// Query head h reads key-value head h / (query_heads / kv_heads).
template <typename T>
struct AttentionProblem {
  HeadArray<const T> query, key, value;
  int64_t query_heads = 1;
  int64_t kv_heads = 1;
  int64_t head_width = 1;
  T scale = 1;
};

/// Writes output rows of the given blocks for query heads [head_begin, head_end), and lse[h * lse_stride + t], the natural
/// log-sum-exp of each row's scaled scores. A row that sees no key gets zeros and -infinity.
/// T: float or double.
template <typename T>
void attention_forward(const AttentionProblem<T>& problem, std::span<const QueryBlock> blocks, int64_t head_begin,
                       int64_t head_end, HeadArray<T> output, T* lse, int64_t lse_stride);

/// Adds to grad_query, grad_key, grad_value what the given blocks contribute, for the query heads of kv heads
/// [kv_head_begin, kv_head_end). delta[h * lse_stride + t] is the dot product of output and grad_output rows.
/// Calls that share key rows must not run at once for the same kv head.
template <typename T>
void attention_backward(const AttentionProblem<T>& problem, std::span<const QueryBlock> blocks, int64_t kv_head_begin,
                        int64_t kv_head_end, HeadArray<const T> grad_output, const T* lse, const T* delta, int64_t lse_stride,
                        HeadArray<T> grad_query, HeadArray<T> grad_key, HeadArray<T> grad_value);

}  // namespace ocelli::kernels
