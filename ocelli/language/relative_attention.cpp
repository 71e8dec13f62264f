#include "ocelli/language/relative_attention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

#include "ocelli/base/error.h"

namespace ocelli::language {

at::Tensor relative_buckets(int64_t first, int64_t count, bool bidirectional, int64_t buckets, int64_t max_distance) {
  const at::Tensor distance = at::arange(first, first + count, at::kLong);
  const int64_t own = bidirectional ? buckets / 2 : buckets;
  const at::Tensor length = bidirectional ? distance.abs() : at::clamp_max(distance, 0).neg();
  const int64_t exact = own / 2;
  const double octaves = std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const at::Tensor wide = exact + (at::log(length.to(at::kFloat) / exact) / octaves * (own - exact)).to(at::kLong);
  const at::Tensor bucket = at::where(length < exact, length, at::clamp_max(wide, own - 1));
  return bidirectional ? bucket + (distance > 0).to(at::kLong) * own : bucket;
}

at::Tensor RelativeBias::block(int64_t rows, int64_t keys) {
  Held& held = blocks_[{rows, keys}];
  // A block that runs again in the backward pass needs a graph of its own, so nothing is kept where gradients may be asked for.
  const bool keep = !at::GradMode::is_enabled();
  if (keep && held.bias.defined()) return held.bias;
  if (!held.buckets.defined()) {
    // Distances from the first key seen by the last row to the last key seen by the first one; each row is a window of them.
    held.buckets = relative_buckets(1 - keys, keys + rows - 1, bidirectional_, table_.size(0), max_distance_).to(table_.device());
  }
  const at::Tensor bias = table_.index_select(0, held.buckets).t().unfold(1, keys, 1).flip(1);
  if (keep) held.bias = bias;
  return bias;
}

at::Tensor biased_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            const nn::AttentionLayout& layout, RelativeBias& bias) {
  const at::ScalarType wide = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  std::vector<nn::Span> spans = layout.spans();
  std::stable_sort(spans.begin(), spans.end(),
                   [](const nn::Span& a, const nn::Span& b) { return a.query_begin < b.query_begin; });
  std::vector<at::Tensor> pieces;
  int64_t row = 0;
  const auto zeros_up_to = [&](int64_t end) {
    if (end > row) pieces.push_back(at::zeros({end - row, query.size(1), query.size(2)}, query.options()));
  };
  for (size_t i = 0; i < spans.size();) {
    const int64_t begin = spans[i].query_begin, end = spans[i].query_end, rows = end - begin;
    std::vector<at::Tensor> keys, values;
    bool causal = false;
    int64_t count = 0;
    for (; i < spans.size() && spans[i].query_begin == begin; ++i) {
      const nn::Span& span = spans[i];
      require(span.window == 0, "relative attention: a window of {}, none is known here", span.window);
      keys.push_back(key.slice(0, span.key_begin, span.key_end));
      values.push_back(value.slice(0, span.key_begin, span.key_end));
      count += span.key_end - span.key_begin;
      causal = span.causal;  // the rows' own keys come last
    }
    if (rows == 0) continue;
    zeros_up_to(begin);
    const auto heads = [&](const std::vector<at::Tensor>& parts) {  // [H, keys, E]
      return (parts.size() == 1 ? parts[0] : at::cat(parts)).transpose(0, 1).to(wide);
    };
    at::Tensor scores = at::matmul(query.slice(0, begin, end).transpose(0, 1).to(wide), heads(keys).transpose(1, 2)) +
                        bias.block(rows, count).to(wide);
    if (causal && rows > 1) {
      // Row r of the block sees keys up to count - rows + r.
      const at::Tensor later = at::ones({rows, count}, query.options().dtype(at::kBool)).triu(count - rows + 1);
      scores = scores.masked_fill(later, -std::numeric_limits<double>::infinity());
    }
    pieces.push_back(at::matmul(at::softmax(scores, -1), heads(values)).transpose(0, 1).to(query.scalar_type()));
    row = end;
  }
  zeros_up_to(query.size(0));
  return pieces.size() == 1 ? pieces[0] : at::cat(pieces);
}

}  // namespace ocelli::language
