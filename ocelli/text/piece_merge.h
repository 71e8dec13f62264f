#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ocelli::text {

/// A stretch of the text that is, or grows into, a token.
struct PieceSymbol {
  int32_t previous = -1, next = -1;  ///< -1 at the ends
  uint32_t begin = 0, size = 0;      ///< bytes; size 0: merged into another
  bool frozen = false;               ///< never merged
};

/// Byte pair encoding in which two neighbours may join when the joined text is a token, however it came about: SentencePiece's
/// and tiktoken's rule (`tokenizer.json` names the pairs instead, see Bpe). O(n log n).
class PieceMerger {
 public:
  void clear() {
    symbols_.clear();
    queue_.clear();
  }
  void add(uint32_t begin, uint32_t size, bool frozen) {
    const auto index = static_cast<int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({index - 1, -1, begin, size, frozen});
  }

  /// cost_of(left, joined): the cost of joining, nothing when `joined` is no token. `left` is the size of the left part. The
  /// least cost is joined first, the leftmost of equals.
  template <typename CostOf>
  void merge(std::string_view text, CostOf&& cost_of) {
    const auto consider = [&](int32_t left, int32_t right, bool push) {
      if (left < 0 || right < 0) return;
      const PieceSymbol& a = at(left);
      const PieceSymbol& b = at(right);
      if (a.frozen || b.frozen) return;
      const uint32_t size = a.size + b.size;
      const std::optional<double> cost = cost_of(a.size, text.substr(a.begin, size));
      if (!cost) return;
      queue_.push_back({*cost, left, right, size});
      if (push) std::push_heap(queue_.begin(), queue_.end());
    };
    for (size_t i = 1; i < symbols_.size(); ++i) consider(static_cast<int32_t>(i - 1), static_cast<int32_t>(i), false);
    std::make_heap(queue_.begin(), queue_.end());
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end());
      const Candidate best = queue_.back();
      queue_.pop_back();
      PieceSymbol& left = at(best.left);
      PieceSymbol& right = at(best.right);
      // Sizes only grow or become 0: other sizes mean that one of the two has joined somebody else.
      if (left.size == 0 || right.size == 0 || left.size + right.size != best.size) continue;
      left.size = best.size;
      left.next = right.next;
      if (right.next >= 0) at(right.next).previous = best.left;
      right.size = 0;
      consider(left.previous, best.left, true);
      consider(best.left, left.next, true);
    }
  }

  const std::vector<PieceSymbol>& symbols() const { return symbols_; }

 private:
  struct Candidate {
    double cost;
    int32_t left, right;
    uint32_t size;
    // std::push_heap keeps the largest on top.
    bool operator<(const Candidate& other) const { return cost > other.cost || (cost == other.cost && left > other.left); }
  };
  PieceSymbol& at(int32_t index) { return symbols_[static_cast<size_t>(index)]; }

  std::vector<PieceSymbol> symbols_;
  std::vector<Candidate> queue_;
};

}  // namespace ocelli::text
