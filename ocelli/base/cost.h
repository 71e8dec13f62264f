#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli {

/// The work whose cost is asked for: sequences with pictures already cut into tiles.
struct Workload {
  int64_t batch = 1;                                    ///< sequences, all alike
  std::vector<std::pair<int64_t, int64_t>> tiles = {};  ///< height and width in pixels of each tile of one sequence
  int64_t pictures = 0;                                 ///< of one sequence; 0: each tile is one
  int64_t visual_tokens = 0;                            ///< put into the decoder, per sequence
  int64_t text_tokens = 0;                              ///< new tokens that aren't visual, per sequence
  int64_t cached_tokens = 0;                            ///< already in the KV cache, per sequence
  int64_t memory_rows = 0;                              ///< rows cross-attention reads, per sequence
  int64_t logit_rows = 1;                               ///< rows the head is asked for, per sequence
  int64_t weight_bytes = 4;                             ///< of one weight element
  int64_t activation_bytes = 4;                         ///< of one activation or cache element
};

/// What a piece of work costs. Adds up.
struct Cost {
  int64_t parameters = 0;
  double flops = 0;             ///< forward; a multiply-add is two
  double weight_bytes = 0;      ///< weights read once
  double activation_bytes = 0;  ///< activations written and read between operators
  double cache_bytes = 0;       ///< KV cache held

  Cost& operator+=(const Cost& other);
  friend Cost operator+(Cost a, const Cost& b) { return a += b; }
  friend Cost operator*(Cost a, double times);  ///< scales flops and bytes moved; parameters and weights stay
};

/// Costs by part, in order, with their sum.
class Ledger {
 public:
  void add(std::string part, const Cost& cost);
  const std::vector<std::pair<std::string, Cost>>& rows() const { return rows_; }
  Cost total() const;
  /// An object per part and "total".
  Json to_json() const;

 private:
  std::vector<std::pair<std::string, Cost>> rows_;
};

/// y = x W^T (+ b) over `rows` rows.
Cost linear_cost(int64_t rows, int64_t in, int64_t out, bool bias, const Workload& work);

}  // namespace ocelli
