#pragma once

#include "ocelli/kernels/attention_tile.h"
#include "ocelli/kernels/functions.h"
#include "ocelli/kernels/tile_product.h"

namespace ocelli::kernels {
namespace {

/// Running softmax of the rows of a tile: largest score so far, sum of exponentials below it.
template <typename T>
struct RowStates {
  T largest[kRowTile], sum[kRowTile];
};

/// Scores to weights, exp(score - largest); brings `states` and, where rows were scaled by an older largest, `output` up to date.
/// Each step goes over all rows before the next: a single row is one chain of dependent instructions, rows overlap.
template <typename T>
void softmax_step(const RowTile& rows, const KeyTile& keys, T* scores, RowStates<T>& states, bool first, T* output,
                  int64_t width) {
  const int64_t columns = padded<T>(keys.count());
  T largest[kRowTile];
  rows.each([&](int64_t r, int64_t, int64_t i) {
    T* const row = scores + r * kKeyTile;
    keys.hide_unseen(i, row);
    Vec<T> top = load(row);
    for (int64_t j = kLanes<T>; j < columns; j += kLanes<T>) top = larger(top, load(row + j));
    largest[r] = larger(states.largest[r], largest_of<T>(top));
  });
  if (!first) {
    for (int64_t r = 0; r < rows.size(); ++r) {
      if (states.largest[r] == largest[r]) continue;
      const Vec<T> correction = exponential(broadcast(states.largest[r] - largest[r]));
      states.sum[r] *= correction[0];
      for (int64_t e = 0; e < width; e += kLanes<T>) store(output + r * width + e, load(output + r * width + e) * correction);
    }
  }
  for (int64_t r = 0; r < rows.size(); ++r) {
    T* const row = scores + r * kKeyTile;
    Vec<T> sums{};
    for (int64_t j = 0; j < columns; j += kLanes<T>) {
      const Vec<T> weight = exponential(load(row + j) - broadcast(largest[r]));
      store(row + j, weight);
      sums += weight;
    }
    states.largest[r] = largest[r];
    states.sum[r] += sum_of<T>(sums);
  }
}

template <typename T>
void forward(const AttentionProblem<T>& problem, std::span<const QueryBlock> blocks, int64_t head_begin, int64_t head_end,
             HeadArray<T> output, T* lse, int64_t lse_stride) {
  const int64_t width = problem.head_width, stride = padded<T>(width);
  Cutter<T> cut(2 * kRowTile * stride + 2 * kKeyTile * stride + kRowTile * kKeyTile, 5);
  T* const query = cut.take(kRowTile * stride);
  T* const sums = cut.take(kRowTile * stride);
  T* const keys_across = cut.take(kKeyTile * stride);
  T* const values = cut.take(kKeyTile * stride);
  T* const scores = cut.take(kRowTile * kKeyTile);
  RowStates<T> states;

  over_row_tiles(problem, blocks, head_begin, head_end, [&](const RowTile& rows) {
    const int64_t size = rows.size();
    pack_rows(rows, problem.query, width, problem.scale, query);
    for (int64_t r = 0; r < size; ++r) {
      // Not -infinity: hidden scores, less this, must stay -infinity, also in rows that have seen no key yet.
      states.largest[r] = std::numeric_limits<T>::lowest();
      states.sum[r] = 0;
    }
    bool first = true;
    for (KeyTile keys(rows); keys.next(); first = false) {
      pack_keys_transposed(keys, problem.key.data + rows.kv_head * problem.key.head_stride, problem.key.row_stride, width,
                           keys_across);
      pack_keys(keys, problem.value.data + rows.kv_head * problem.value.head_stride, problem.value.row_stride, width, values);
      const int64_t columns = padded<T>(keys.count());
      product<T>(size, columns, width, {query, stride, 1}, {keys_across, kKeyTile}, {scores, kKeyTile}, false);
      softmax_step(rows, keys, scores, states, first, sums, stride);
      product<T>(size, stride, keys.count(), {scores, kKeyTile, 1}, {values, stride}, {sums, stride}, !first);
    }
    rows.each([&](int64_t r, int64_t head, int64_t i) {
      const bool seen = states.sum[r] != 0;
      const Vec<T> factor = broadcast(seen ? 1 / states.sum[r] : 0);
      T* const to = rows.at(output, head, i);
      over<T>(width, [&](int64_t e, auto lanes) { lanes.store(to + e, seen ? load(sums + r * stride + e) * factor : Vec<T>{}); });
      lse[head * lse_stride + rows.block->query_begin + i] =
          seen ? states.largest[r] + std::log(states.sum[r]) : -std::numeric_limits<T>::infinity();
    });
  });
}

/// Adds rows of scratch to rows of a gradient, times `factor`.
template <typename T>
inline void add_row(const T* from, int64_t width, T factor, T* to) {
  over<T>(width, [&](int64_t e, auto lanes) { lanes.store(to + e, lanes.load(to + e) + load(from + e) * broadcast(factor)); });
}

/// Dao et al., arXiv:2205.14135, algorithm 4: weights are made again from the log-sum-exp.
template <typename T>
void backward(const AttentionProblem<T>& problem, std::span<const QueryBlock> blocks, int64_t kv_head_begin, int64_t kv_head_end,
              HeadArray<const T> grad_output, const T* lse, const T* delta, int64_t lse_stride, HeadArray<T> grad_query,
              HeadArray<T> grad_key, HeadArray<T> grad_value) {
  const int64_t width = problem.head_width, stride = padded<T>(width);
  const int64_t group = problem.query_heads / problem.kv_heads;
  Cutter<T> cut(3 * kRowTile * stride + 4 * kKeyTile * stride + 2 * kRowTile * kKeyTile, 9);
  T* const query = cut.take(kRowTile * stride);
  T* const grad_rows = cut.take(kRowTile * stride);
  T* const query_sums = cut.take(kRowTile * stride);
  T* const keys_across = cut.take(kKeyTile * stride);
  T* const values_across = cut.take(kKeyTile * stride);
  T* const key_rows = cut.take(kKeyTile * stride);
  T* const key_sums = cut.take(kKeyTile * stride);
  T* const weights = cut.take(kRowTile * kKeyTile);
  T* const grad_scores = cut.take(kRowTile * kKeyTile);

  over_row_tiles(problem, blocks, kv_head_begin * group, kv_head_end * group, [&](const RowTile& rows) {
    const int64_t size = rows.size();
    const T* const key = problem.key.data + rows.kv_head * problem.key.head_stride;
    const T* const value = problem.value.data + rows.kv_head * problem.value.head_stride;
    pack_rows(rows, problem.query, width, problem.scale, query);
    pack_rows(rows, grad_output, width, T{1}, grad_rows);
    const auto add_to_keys = [&](const KeyTile& keys, const T* factors, const T* from, HeadArray<T> to) {
      product<T>(keys.count(), stride, size, {factors, 1, kKeyTile}, {from, stride}, {key_sums, stride}, false);
      for (int64_t j = 0; j < keys.count(); ++j) {
        add_row(key_sums + j * stride, width, T{1}, to.data + keys.key(j) * to.row_stride + rows.kv_head * to.head_stride);
      }
    };
    bool first = true;
    for (KeyTile keys(rows); keys.next(); first = false) {
      const int64_t columns = padded<T>(keys.count());
      pack_keys_transposed(keys, key, problem.key.row_stride, width, keys_across);
      pack_keys_transposed(keys, value, problem.value.row_stride, width, values_across);
      pack_keys(keys, key, problem.key.row_stride, width, key_rows);
      product<T>(size, columns, width, {query, stride, 1}, {keys_across, kKeyTile}, {weights, kKeyTile}, false);
      product<T>(size, columns, width, {grad_rows, stride, 1}, {values_across, kKeyTile}, {grad_scores, kKeyTile}, false);
      rows.each([&](int64_t r, int64_t head, int64_t i) {
        const int64_t at = head * lse_stride + rows.block->query_begin + i;
        // A row without keys has lse = -infinity and weights 0.
        const T base = lse[at] == -std::numeric_limits<T>::infinity() ? -lse[at] : lse[at];
        T* const weight = weights + r * kKeyTile;
        T* const grad = grad_scores + r * kKeyTile;
        keys.hide_unseen(i, weight);
        for (int64_t j = 0; j < columns; j += kLanes<T>) {
          const Vec<T> p = exponential(load(weight + j) - broadcast(base));
          store(weight + j, p);
          store(grad + j, p * (load(grad + j) - broadcast(delta[at])));
        }
      });
      add_to_keys(keys, weights, grad_rows, grad_value);
      // The packed query already carries the scale.
      add_to_keys(keys, grad_scores, query, grad_key);
      product<T>(size, stride, keys.count(), {grad_scores, kKeyTile, 1}, {key_rows, stride}, {query_sums, stride}, !first);
    }
    if (first) return;
    rows.each([&](int64_t r, int64_t head, int64_t i) {
      add_row(query_sums + r * stride, width, problem.scale, rows.at(grad_query, head, i));
    });
  });
}

template <typename T>
constexpr AttentionFunctions<T> kAttentionFunctions{&forward<T>, &backward<T>};

}  // namespace
}  // namespace ocelli::kernels
