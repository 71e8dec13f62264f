#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace ocelli::nn {

/// Query rows [query_begin, query_end) see key rows [key_begin, key_end).
struct Span {
  int64_t query_begin = 0;
  int64_t query_end = 0;
  int64_t key_begin = 0;
  int64_t key_end = 0;
  /// The last query row sees up to the last key, the one before it one key less, and so on.
  bool causal = false;
  /// > 0: each row sees at most the last `window` of the keys it would see.
  int64_t window = 0;
};

/// Who sees whom, over rows laid end to end. Packing, shared prefixes, bidirectional pictures, sliding windows, cached
/// blocks and cross-attention are all lists of spans; no mask of T x T exists. A row in several spans attends to the union.
class AttentionLayout {
 public:
  AttentionLayout() = default;

  void add(const Span& span) { spans_.push_back(span); }
  const std::vector<Span>& spans() const { return spans_; }

  /// `count` sequences of `length` rows each, every one attending to itself.
  static AttentionLayout uniform(int64_t count, int64_t length, bool causal);

  /// Throws Error unless every span lies within the rows, spans that share query rows have the same query range,
  /// and such spans see disjoint keys (a key seen twice would count twice).
  void validate(int64_t query_rows, int64_t key_rows) const;

  /// Pairs of a query row and a key it sees: what attention costs.
  int64_t pairs() const;

  /// The layout of some of the query rows ([R] int64, rising): row i of the result is query row rows[i].
  AttentionLayout restricted_to(const at::Tensor& rows) const;

  /// Each row sees at most the last `window` of the keys it would see, itself included. Spans of one query range must lie in the
  /// order of their keys' positions, as KvCache and packing add them.
  AttentionLayout windowed(int64_t window) const;

  /// When the layout is `uniform(count, length, causal)` over `rows` rows: its length, else 0.
  int64_t uniform_length(int64_t rows) const;

 private:
  std::vector<Span> spans_;
};

}  // namespace ocelli::nn
