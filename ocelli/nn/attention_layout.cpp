#include "ocelli/nn/attention_layout.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "ocelli/base/error.h"

namespace ocelli::nn {

AttentionLayout AttentionLayout::uniform(int64_t count, int64_t length, bool causal) {
  AttentionLayout layout;
  layout.spans_.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) layout.add({i * length, (i + 1) * length, i * length, (i + 1) * length, causal, 0});
  return layout;
}

void AttentionLayout::validate(int64_t query_rows, int64_t key_rows) const {
  std::map<std::pair<int64_t, int64_t>, std::vector<std::pair<int64_t, int64_t>>> keys_of;
  for (const Span& span : spans_) {
    require(0 <= span.query_begin && span.query_begin <= span.query_end && span.query_end <= query_rows,
            "attention layout: query range {}..{} lies outside 0..{}", span.query_begin, span.query_end, query_rows);
    require(0 <= span.key_begin && span.key_begin <= span.key_end && span.key_end <= key_rows,
            "attention layout: key range {}..{} lies outside 0..{}", span.key_begin, span.key_end, key_rows);
    require(span.window >= 0, "attention layout: window {} is negative", span.window);
    keys_of[{span.query_begin, span.query_end}].emplace_back(span.key_begin, span.key_end);
  }
  int64_t last_end = 0;
  for (auto& [query, keys] : keys_of) {
    require(query.first >= last_end, "attention layout: query range {}..{} overlaps another that ends at {}", query.first,
            query.second, last_end);
    last_end = std::max(last_end, query.second);
    std::sort(keys.begin(), keys.end());
    for (size_t i = 1; i < keys.size(); ++i) {
      require(keys[i].first >= keys[i - 1].second, "attention layout: keys {}..{} are seen twice by queries {}..{}",
              keys[i].first, keys[i - 1].second, query.first, query.second);
    }
  }
}

int64_t AttentionLayout::pairs() const {
  int64_t total = 0;
  for (const Span& span : spans_) {
    const int64_t rows = span.query_end - span.query_begin;
    const int64_t keys = span.key_end - span.key_begin;
    for (int64_t row = 0; row < rows; ++row) {
      int64_t seen = span.causal ? std::clamp<int64_t>(keys - rows + 1 + row, 0, keys) : keys;
      if (span.window > 0) seen = std::min(seen, span.window);
      total += seen;
      if (!span.causal) {  // every row alike
        total += seen * (rows - 1);
        break;
      }
    }
  }
  return total;
}

AttentionLayout AttentionLayout::restricted_to(const at::Tensor& rows) const {
  const at::Tensor wanted = rows.to(at::kCPU).contiguous();
  const std::span<const int64_t> row(wanted.const_data_ptr<int64_t>(), static_cast<size_t>(wanted.numel()));
  AttentionLayout out;
  for (const Span& span : spans_) {
    size_t i = static_cast<size_t>(std::lower_bound(row.begin(), row.end(), span.query_begin) - row.begin());
    while (i < row.size() && row[i] < span.query_end) {
      size_t last = i;  // a run of neighbouring rows keeps the causal form, its last row lined up anew
      while (last + 1 < row.size() && row[last + 1] == row[last] + 1 && row[last + 1] < span.query_end) ++last;
      Span part = span;
      part.query_begin = static_cast<int64_t>(i);
      part.query_end = static_cast<int64_t>(last) + 1;
      if (span.causal) part.key_end = std::max(span.key_begin, span.key_end - (span.query_end - 1 - row[last]));
      out.add(part);
      i = last + 1;
    }
  }
  return out;
}

AttentionLayout AttentionLayout::windowed(int64_t window) const {
  AttentionLayout out;
  for (size_t first = 0; first < spans_.size();) {
    size_t end = first + 1;
    while (end < spans_.size() && spans_[end].query_begin == spans_[first].query_begin) ++end;
    if (end == first + 1) {
      Span span = spans_[first];
      span.window = span.window > 0 ? std::min(span.window, window) : window;
      out.add(span);
      first = end;
      continue;
    }
    // Several key ranges: a window of its own for each row, counted from the last key backwards.
    for (int64_t row = spans_[first].query_begin; row < spans_[first].query_end; ++row) {
      int64_t left = window;
      for (size_t i = end; i-- > first && left > 0;) {
        const Span& span = spans_[i];
        const int64_t key_end = span.causal ? std::max(span.key_begin, span.key_end - (span.query_end - 1 - row)) : span.key_end;
        const int64_t count = std::min(left, key_end - span.key_begin);
        if (count > 0) out.add({row, row + 1, key_end - count, key_end, false, 0});
        left -= count;
      }
    }
    first = end;
  }
  return out;
}

int64_t AttentionLayout::uniform_length(int64_t rows) const {
  if (spans_.empty()) return 0;
  const int64_t length = spans_[0].query_end;
  if (length <= 0 || length * static_cast<int64_t>(spans_.size()) != rows) return 0;
  for (size_t i = 0; i < spans_.size(); ++i) {
    const Span& span = spans_[i];
    const int64_t begin = static_cast<int64_t>(i) * length;
    if (span.query_begin != begin || span.query_end != begin + length || span.key_begin != begin ||
        span.key_end != begin + length || span.causal != spans_[0].causal || span.window != 0) {
      return 0;
    }
  }
  return length;
}

}  // namespace ocelli::nn
