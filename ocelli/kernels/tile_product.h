#pragma once

#include "ocelli/kernels/vec.h"

// Small matrix products from scratch to scratch: the five products of attention, forward and backward, are all of this form.
namespace ocelli::kernels {
namespace {

/// A(r, k) is at data + r * row + k * depth: a matrix or its transpose.
template <typename T>
struct Left {
  const T* data;
  int64_t row, depth;
};
/// Rows of whole vectors.
template <typename T>
struct Rows {
  T* data;
  int64_t stride;
};

/// Most rows for which accumulators, one row of B and a broadcast fit the registers (32 with AVX-512, else 16), by vectors a row.
#if defined(__AVX512F__)
constexpr int kMostRows[] = {0, 12, 12, 8, 6};
constexpr int kMostVectors = 4;
#else
constexpr int kMostRows[] = {0, 8, 6, 4};
constexpr int kMostVectors = 3;
#endif

template <typename T, int kRows, int kVectors>
void product_block(Left<T> a, Rows<const T> b, int64_t depth, Rows<T> c, bool add) {
  Vec<T> sums[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vec<T> row[kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) row[j] = load(b.data + k * b.stride + j * kLanes<T>);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec<T> x = broadcast(a.data[r * a.row + k * a.depth]);
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j) sums[r][j] += x * row[j];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) {
      T* to = c.data + r * c.stride + j * kLanes<T>;
      store(to, add ? load(to) + sums[r][j] : sums[r][j]);
    }
  }
}

template <typename T, int kVectors, int kRows = kMostRows[kVectors]>
inline void product_rows(int rows, Left<T> a, Rows<const T> b, int64_t depth, Rows<T> c, bool add) {
  if (rows == kRows) {
    product_block<T, kRows, kVectors>(a, b, depth, c, add);
  } else if constexpr (kRows > 1) {
    product_rows<T, kVectors, kRows - 1>(rows, a, b, depth, c, add);
  }
}

template <typename T, int kVectors>
void product_columns(int64_t rows, Left<T> a, Rows<const T> b, int64_t depth, Rows<T> c, bool add) {
  // Equal parts: 14 rows as 7 + 7, not 12 + 2, since a block of few rows waits for its own sums.
  const int64_t blocks = (rows + kMostRows[kVectors] - 1) / kMostRows[kVectors];
  for (int64_t i = 0, begin = 0; i < blocks; ++i) {
    const int64_t end = rows * (i + 1) / blocks;
    product_rows<T, kVectors>(static_cast<int>(end - begin), {a.data + begin * a.row, a.row, a.depth}, b, depth,
                              {c.data + begin * c.stride, c.stride}, add);
    begin = end;
  }
}

/// C = A B, or C += A B. columns: of B and C, a multiple of the vector.
template <typename T>
void product(int64_t rows, int64_t columns, int64_t depth, Left<T> a, Rows<const T> b, Rows<T> c, bool add) {
  int64_t vectors = columns / kLanes<T>;
  while (vectors > 0) {
    int take = 1;
    // 4 as 2 + 2 where three is the most.
    if (vectors >= kMostVectors && !(kMostVectors == 3 && vectors == 4)) {
      product_columns<T, kMostVectors>(rows, a, b, depth, c, add);
      take = kMostVectors;
    } else if (kMostVectors > 3 && vectors == 3) {
      product_columns<T, 3>(rows, a, b, depth, c, add);
      take = 3;
    } else if (vectors >= 2) {
      product_columns<T, 2>(rows, a, b, depth, c, add);
      take = 2;
    } else {
      product_columns<T, 1>(rows, a, b, depth, c, add);
    }
    vectors -= take;
    b.data += take * kLanes<T>;
    c.data += take * kLanes<T>;
  }
}

}  // namespace
}  // namespace ocelli::kernels
