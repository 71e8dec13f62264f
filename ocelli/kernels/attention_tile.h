#pragma once

#include "ocelli/kernels/attention.h"
#include "ocelli/kernels/scratch.h"
#include "ocelli/kernels/vec.h"

// What the forward and backward loops of attention share: which keys a tile of query rows sees, and packing.
namespace ocelli::kernels {
namespace {

/// Keys, and rows (query rows times the query heads of one kv head), worked on at once: scores of both fit the first-level cache.
constexpr int64_t kKeyTile = 64;
constexpr int64_t kRowTile = 64;

constexpr int64_t least_of(int64_t a, int64_t b) {
  return a < b ? a : b;
}
constexpr int64_t most_of(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/// Keys [begin, end) of a range, counted from its first.
struct Seen {
  int64_t begin, end;
};
/// What row i of a block of n rows sees of a range. Both ends grow with i.
inline Seen seen_by(const KeyRange& range, int64_t n, int64_t i) {
  const int64_t count = range.key_end - range.key_begin;
  const int64_t end = range.causal ? least_of(most_of(count - n + 1 + i, 0), count) : count;
  return {range.window > 0 ? most_of(0, end - range.window) : 0, end};
}

/// Rows [begin, end) of a block, for query heads [head_begin, head_end) of one kv head, head after head.
struct RowTile {
  const QueryBlock* block;
  int64_t begin, end;
  int64_t head_begin, head_end;
  int64_t kv_head;
  int64_t block_rows() const { return block->query_end - block->query_begin; }
  int64_t rows() const { return end - begin; }
  int64_t size() const { return rows() * (head_end - head_begin); }
  /// Row i of the block in a [T, H, E] array.
  template <typename T>
  T* at(HeadArray<T> array, int64_t head, int64_t i) const {
    return array.data + (block->query_begin + i) * array.row_stride + head * array.head_stride;
  }
  /// Calls f(r, head, i) for every row of the tile: row i of the block. (Dividing r for each would cost more than its products.)
  template <typename F>
  void each(const F& f) const {
    int64_t r = 0;
    for (int64_t head = head_begin; head < head_end; ++head) {
      for (int64_t i = begin; i < end; ++i, ++r) f(r, head, i);
    }
  }
};

/// Walks over the keys a row tile sees, kKeyTile at a time, joining short ranges.
class KeyTile {
 public:
  explicit KeyTile(const RowTile& rows) : rows_(rows) { open_range(); }

  /// Goes to the next keys; false when there are none left.
  bool next() {
    count_ = 0;
    segments_ = 0;
    const int64_t ranges = static_cast<int64_t>(rows_.block->ranges.size());
    while (range_ < ranges && count_ < kKeyTile) {
      const KeyRange& range = rows_.block->ranges[static_cast<size_t>(range_)];
      const int64_t take = least_of(last_ - at_, kKeyTile - count_);
      if (take > 0) {
        const Seen first = seen_by(range, rows_.block_rows(), rows_.begin),
                   final = seen_by(range, rows_.block_rows(), rows_.end - 1);
        // Rows between see at least what both see.
        if (final.begin > at_ || first.end < at_ + take) partial_[segments_++] = {&range, at_, count_, take};
        for (int64_t i = 0; i < take; ++i) keys_[count_ + i] = range.key_begin + at_ + i;
        count_ += take;
        at_ += take;
      }
      if (at_ >= last_) {
        ++range_;
        open_range();
      }
    }
    return count_ > 0;
  }

  int64_t count() const { return count_; }
  /// Index into the key array of column j.
  int64_t key(int64_t j) const { return keys_[j]; }

  /// Sets the scores of columns that row i of the block does not see, and of those that pad the last vector, to -infinity.
  template <typename T>
  void hide_unseen(int64_t i, T* scores) const {
    for (int64_t s = 0; s < segments_; ++s) {
      const Segment& segment = partial_[s];
      const Seen seen = seen_by(*segment.range, rows_.block_rows(), i);
      const int64_t begin = segment.column + least_of(most_of(seen.begin - segment.first, 0), segment.count);
      const int64_t end = segment.column + least_of(most_of(seen.end - segment.first, 0), segment.count);
      hide(scores, segment.column, begin);
      hide(scores, end, segment.column + segment.count);
    }
    hide(scores, count_, padded<T>(count_));
  }

 private:
  struct Segment {
    const KeyRange* range;
    int64_t first;  ///< counted from the range's first key
    int64_t column, count;
  };

  void open_range() {
    at_ = last_ = 0;
    if (range_ >= static_cast<int64_t>(rows_.block->ranges.size())) return;
    const KeyRange& range = rows_.block->ranges[static_cast<size_t>(range_)];
    at_ = seen_by(range, rows_.block_rows(), rows_.begin).begin;
    last_ = seen_by(range, rows_.block_rows(), rows_.end - 1).end;
  }

  /// By whole vectors: a vector load right behind narrower stores would wait for them.
  template <typename T>
  static void hide(T* scores, int64_t begin, int64_t end) {
    using Int = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
    const Vec<T> hidden = broadcast(-std::numeric_limits<T>::infinity());
    for (int64_t j = begin / kLanes<T> * kLanes<T>; j < end; j += kLanes<T>) {
      const auto column = lane_numbers<T>() + static_cast<Int>(j);
      const auto in = (column >= static_cast<Int>(begin)) & (column < static_cast<Int>(end));
      store(scores + j, in ? hidden : load(scores + j));
    }
  }

  const RowTile& rows_;
  int64_t range_ = 0, at_ = 0, last_ = 0;
  int64_t count_ = 0, segments_ = 0;
  int64_t keys_[kKeyTile];
  Segment partial_[kKeyTile];
};

/// Calls work(RowTile) for all rows of the blocks for query heads [head_begin, head_end).
template <typename T, typename Work>
void over_row_tiles(const AttentionProblem<T>& problem, std::span<const QueryBlock> blocks, int64_t head_begin, int64_t head_end,
                    const Work& work) {
  const int64_t group = problem.query_heads / problem.kv_heads;
  for (int64_t first = head_begin; first < head_end;) {
    const int64_t kv_head = first / group;
    const int64_t last = least_of(least_of(head_end, (kv_head + 1) * group), first + kRowTile);
    const int64_t most_rows = kRowTile / (last - first);
    for (size_t b = 0; b < blocks.size(); ++b) {
      const int64_t rows = blocks[b].query_end - blocks[b].query_begin;
      const int64_t tiles = (rows + most_rows - 1) / most_rows;
      for (int64_t t = 0; t < tiles; ++t) {
        work(RowTile{&blocks[b], rows * t / tiles, rows * (t + 1) / tiles, first, last, kv_head});
      }
    }
    first = last;
  }
}

/// Cuts one scratch buffer into arrays that start on cache lines.
template <typename T>
class Cutter {
 public:
  explicit Cutter(int64_t elements, int64_t arrays)
      : at_(static_cast<T*>(scratch_bytes((elements + arrays * kLine) * static_cast<int64_t>(sizeof(T))))) {}
  T* take(int64_t elements) {
    T* taken = at_;
    at_ += (elements + kLine - 1) / kLine * kLine;
    return taken;
  }

 private:
  static constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  T* at_;
};

/// to[0, padded(width)) = from[0, width) * factor, zeros behind.
template <typename T>
inline void pack_row(const T* from, int64_t width, T factor, T* to) {
  over<T>(width, [&](int64_t e, auto lanes) { store(to + e, lanes.load(from + e) * broadcast(factor)); });
}
template <typename T>
inline void copy_row(const T* from, int64_t width, T* to) {
  over<T>(width, [&](int64_t e, auto lanes) { store(to + e, lanes.load(from + e)); });
}

/// The rows of a row tile of a [T, H, E] array.
template <typename T>
void pack_rows(const RowTile& rows, HeadArray<const T> from, int64_t width, T factor, T* to) {
  const int64_t stride = padded<T>(width);
  rows.each([&](int64_t r, int64_t head, int64_t i) { pack_row(rows.at(from, head, i), width, factor, to + r * stride); });
}
/// The rows of a key tile.
template <typename T>
void pack_keys(const KeyTile& keys, const T* from, int64_t row_stride, int64_t width, T* to) {
  const int64_t stride = padded<T>(width);
  for (int64_t j = 0; j < keys.count(); ++j) copy_row(from + keys.key(j) * row_stride, width, to + j * stride);
}
/// The rows of a key tile as columns: to[e * kKeyTile + j]. Columns that pad the last vector repeat the last key.
template <typename T>
void pack_keys_transposed(const KeyTile& keys, const T* from, int64_t row_stride, int64_t width, T* to) {
  for (int64_t j = 0; j < keys.count(); j += kLanes<T>) {
    const T* row[kLanes<T>];
    for (int lane = 0; lane < kLanes<T>; ++lane) row[lane] = from + keys.key(least_of(j + lane, keys.count() - 1)) * row_stride;
    over<T>(width, [&](int64_t e, auto lanes) {
      Vec<T> v[kLanes<T>];
      for (int lane = 0; lane < kLanes<T>; ++lane) v[lane] = lanes.load(row[lane] + e);
      transpose<T>(v);
      for (int lane = 0; lane < kLanes<T>; ++lane) store(to + (e + lane) * kKeyTile + j, v[lane]);
    });
  }
}

}  // namespace
}  // namespace ocelli::kernels
