#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <utility>

#include "ocelli/nn/attention_layout.h"

namespace ocelli::language {

/// Which bucket of T5's table each distance (key position minus query position) in [first, first + count) falls into: [count]
/// int64. Half of the buckets are exact, the others widen logarithmically up to `max_distance`; a bidirectional table gives each
/// direction half of the buckets, the other one puts all later keys into bucket 0. Raffel et al., arXiv:1910.10683, section 2.1;
/// angles of the logarithm in fp32, as in transformers' T5Attention.
at::Tensor relative_buckets(int64_t first, int64_t count, bool bidirectional, int64_t buckets, int64_t max_distance);

/// The additive bias of one forward pass: the same in every layer, so without gradients made once for each shape of block.
class RelativeBias {
 public:
  /// table: [buckets, H], read by the whole pass.
  RelativeBias(at::Tensor table, bool bidirectional, int64_t max_distance)
      : table_(std::move(table)), bidirectional_(bidirectional), max_distance_(max_distance) {}

  /// [H, rows, keys]: the last query row stands at the last key's position, as in an AttentionLayout. Differentiable in the
  /// table.
  at::Tensor block(int64_t rows, int64_t keys);

 private:
  at::Tensor table_;
  bool bidirectional_;
  int64_t max_distance_;
  struct Held {
    at::Tensor buckets;  ///< [rows + keys - 1]
    at::Tensor bias;     ///< undefined until made without gradients
  };
  std::map<std::pair<int64_t, int64_t>, Held> blocks_;
};

/// Attention with additive bias and without a scale: softmax(q k^T + bias) v for each block of query rows, dense, softmax in fp32
/// (fp64 for fp64 inputs). query: [T, H, E]; key, value: [S, H, E]. Spans of one query range must lie in the order of their keys'
/// positions, as KvCache and packing add them; windows are not known here. Returns [T, H, E]; a row in no span gets zeros.
at::Tensor biased_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            const nn::AttentionLayout& layout, RelativeBias& bias);

}  // namespace ocelli::language
