#include "ocelli/data/packer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "ocelli/base/error.h"

namespace ocelli::data {
namespace {

/// A set of numbers below `size` that finds the smallest at or above another in a step a level, 64 of them a word.
class NumberSet {
 public:
  explicit NumberSet(int64_t size) {
    do {
      size = (size + 63) / 64;
      levels_.emplace_back(static_cast<size_t>(size), 0);
    } while (size > 1);
  }
  void insert(int64_t number) {
    for (auto& level : levels_) {
      level[static_cast<size_t>(number >> 6)] |= uint64_t{1} << (number & 63);
      number >>= 6;
    }
  }
  void erase(int64_t number) {
    for (auto& level : levels_) {
      uint64_t& word = level[static_cast<size_t>(number >> 6)];
      word &= ~(uint64_t{1} << (number & 63));
      if (word != 0) return;
      number >>= 6;
    }
  }
  /// The smallest member >= `number`, or -1.
  int64_t at_or_above(int64_t number) const {
    for (size_t depth = 0; depth < levels_.size(); ++depth) {
      const auto word = static_cast<size_t>(number >> 6);
      if (word >= levels_[depth].size()) return -1;
      const uint64_t bits = levels_[depth][word] >> (number & 63);
      if (bits != 0) {
        number += std::countr_zero(bits);
        while (depth > 0) {
          --depth;
          number = (number << 6) + std::countr_zero(levels_[depth][static_cast<size_t>(number)]);
        }
        return number;
      }
      number = (number >> 6) + 1;
    }
    return -1;
  }
  /// The largest member <= `number`, or -1.
  int64_t at_or_below(int64_t number) const {
    for (size_t depth = 0; depth < levels_.size() && number >= 0; ++depth) {
      const uint64_t bits = levels_[depth][static_cast<size_t>(number >> 6)] << (63 - (number & 63));
      if (bits != 0) {
        number -= std::countl_zero(bits);
        while (depth > 0) {
          --depth;
          number = (number << 6) + 63 - std::countl_zero(levels_[depth][static_cast<size_t>(number)]);
        }
        return number;
      }
      number = (number >> 6) - 1;
    }
    return -1;
  }

 private:
  std::vector<std::vector<uint64_t>> levels_;
};

constexpr int64_t kMostRoom = int64_t{1} << 26;
/// Packs looked at for a sample whose pictures may not fit; behind them a new one is opened.
constexpr int kMostTried = 64;

/// Packs by the room left in them. Among equal ones the last opened comes first: it holds the fewest samples.
class PacksByRoom {
 public:
  explicit PacksByRoom(int64_t tokens) : rooms_(tokens + 1), packs_(static_cast<size_t>(tokens) + 1) {}
  void add(int64_t pack, int64_t room) {
    packs_[static_cast<size_t>(room)].push_back(pack);
    rooms_.insert(room);
  }
  /// The least room >= `tokens`, or -1.
  int64_t least_room(int64_t tokens) const { return rooms_.at_or_above(tokens); }
  /// Takes out the pack with the least room >= `tokens` that `takes` agrees to; {-1, -1} when none of those tried does.
  template <typename Takes>
  std::pair<int64_t, int64_t> take(int64_t tokens, const Takes& takes) {
    int tried = 0;
    for (int64_t room = rooms_.at_or_above(tokens); room >= 0; room = rooms_.at_or_above(room + 1)) {
      auto& candidates = packs_[static_cast<size_t>(room)];
      for (auto at = candidates.rbegin(); at != candidates.rend(); ++at) {
        if (++tried > kMostTried) return {-1, -1};
        if (!takes(*at)) continue;
        const int64_t pack = *at;
        candidates.erase(std::next(at).base());
        if (candidates.empty()) rooms_.erase(room);
        return {pack, room};
      }
    }
    return {-1, -1};
  }

 private:
  NumberSet rooms_;
  std::vector<std::vector<int64_t>> packs_;
};

using Packs = std::vector<std::vector<int64_t>>;

/// Best fit, longest first: every sample goes into the pack it leaves the least room in.
Packs best_fit(std::span<const PackItem> items, std::span<const int64_t> longest_first, const PackLimits& limits) {
  Packs packs;
  std::vector<int64_t> pictures;
  // Packs that take no further picture stand apart: else samples with pictures would search all of them in vain.
  PacksByRoom open(limits.tokens), text_only(limits.tokens);
  for (const int64_t index : longest_first) {
    const PackItem& item = items[static_cast<size_t>(index)];
    const auto takes = [&](int64_t pack) {
      return limits.pictures == 0 || item.pictures == 0 || pictures[static_cast<size_t>(pack)] + item.pictures <= limits.pictures;
    };
    const int64_t closed = item.pictures == 0 ? text_only.least_room(item.tokens) : -1, least = open.least_room(item.tokens);
    auto [chosen, room] =
        closed >= 0 && (least < 0 || closed <= least) ? text_only.take(item.tokens, takes) : open.take(item.tokens, takes);
    if (chosen < 0) {
      chosen = static_cast<int64_t>(packs.size());
      packs.emplace_back();
      pictures.push_back(0);
      room = limits.tokens;
    }
    packs[static_cast<size_t>(chosen)].push_back(index);
    int64_t& held = pictures[static_cast<size_t>(chosen)];
    held += item.pictures;
    (limits.pictures > 0 && held >= limits.pictures ? text_only : open).add(chosen, room - item.tokens);
  }
  return packs;
}

/// Samples not packed yet, by length.
class Remaining {
 public:
  Remaining(std::span<const PackItem> items, std::span<const int64_t> longest_first, int64_t tokens)
      : items_(items), lengths_(tokens + 1), by_length_(static_cast<size_t>(tokens) + 1) {
    for (const int64_t index : longest_first) {
      const int64_t length = items[static_cast<size_t>(index)].tokens;
      by_length_[static_cast<size_t>(length)].push_back(index);
      lengths_.insert(length);
      ++count_;
    }
    counted_ = 2 * count_;
  }
  bool empty() const { return count_ == 0; }
  /// The median length, renewed when a twentieth of what it was made from is gone.
  int64_t median() {
    if (count_ * 20 > counted_ * 19) return median_;
    counted_ = count_;
    int64_t below = 0;
    for (int64_t length = lengths_.at_or_above(0); length >= 0; length = lengths_.at_or_above(length + 1)) {
      median_ = std::max<int64_t>(1, length);
      below += static_cast<int64_t>(by_length_[static_cast<size_t>(length)].size());
      if (static_cast<double>(below) > 0.5 * static_cast<double>(count_)) break;
    }
    return median_;
  }
  int64_t at_or_below(int64_t length) const { return lengths_.at_or_below(length); }
  int64_t at_or_above(int64_t length) const { return lengths_.at_or_above(length); }
  /// The sample of that length that would be taken next.
  const PackItem& next(int64_t length) const {
    return items_[static_cast<size_t>(by_length_[static_cast<size_t>(length)].back())];
  }
  bool has_two(int64_t length) const { return by_length_[static_cast<size_t>(length)].size() > 1; }
  int64_t take(int64_t length) {
    auto& these = by_length_[static_cast<size_t>(length)];
    const int64_t index = these.back();
    these.pop_back();
    if (these.empty()) lengths_.erase(length);
    --count_;
    return index;
  }

 private:
  std::span<const PackItem> items_;
  NumberSet lengths_;
  std::vector<std::vector<int64_t>> by_length_;
  int64_t count_ = 0, counted_ = 0, median_ = 1;
};

/// One pack after the other: the longest sample left, then of the shorter half as many as can fill the room, about equally long;
/// the last two are chosen together to leave the least room. Where lengths lie close together (a fixed number of visual tokens
/// and a short text), best fit puts long with long and short with short, and wastes what less than one sample takes of each.
Packs even_fill(std::span<const PackItem> items, std::span<const int64_t> longest_first, const PackLimits& limits) {
  constexpr int kPairsTried = 12;
  Remaining left(items, longest_first, limits.tokens);
  Packs packs;
  while (!left.empty()) {
    std::vector<int64_t>& one = packs.emplace_back();
    int64_t room = limits.tokens, pictures = 0;
    const auto fits = [&](int64_t length) {
      const int64_t more = left.next(length).pictures;
      return limits.pictures == 0 || more == 0 || pictures + more <= limits.pictures;
    };
    const auto add = [&](int64_t length) {
      pictures += left.next(length).pictures;
      one.push_back(left.take(length));
      room -= length;
    };
    // The nearest length <= `most` whose next sample fits, a few steps down.
    const auto below = [&](int64_t most) {
      int64_t length = left.at_or_below(most);
      for (int tries = 0; length >= 0 && !fits(length); length = left.at_or_below(length - 1)) {
        if (++tries >= kPairsTried) return int64_t{-1};
      }
      return length;
    };
    add(left.at_or_below(limits.tokens));
    while (!left.empty()) {
      const int64_t most = below(room);
      if (most < 0) break;
      const int64_t further = std::max<int64_t>(1, room / left.median());
      if (further > 2) {
        const int64_t near = below(std::min(room, room / further + 1));
        add(near >= 0 ? near : most);
        continue;
      }
      // Two more, or one that fills it as well.
      int64_t best = most, best_pair = -1, least = room - most;
      int64_t first = left.at_or_below(std::min(room, room / 2 + room / 16));
      for (int tries = 0; first >= 0 && tries < kPairsTried && least > 0; ++tries, first = left.at_or_below(first - 1)) {
        if (!fits(first)) continue;
        const int64_t second = left.at_or_below(room - first);
        if (second < 0 || (second == first && !left.has_two(first))) continue;
        if (limits.pictures > 0 && pictures + left.next(first).pictures + left.next(second).pictures > limits.pictures) {
          continue;
        }
        if (room - first - second < least) {
          least = room - first - second;
          best = first;
          best_pair = second;
        }
      }
      add(best);
      if (best_pair >= 0 && best_pair <= room && left.at_or_below(best_pair) == best_pair && fits(best_pair)) add(best_pair);
    }
  }
  return packs;
}

/// The better of both; one pack without looking where everything fits, as in most steps of training.
Packs packed(std::span<const PackItem> items, std::span<const int64_t> longest_first, const PackLimits& limits) {
  if (longest_first.empty()) return {};
  int64_t tokens = 0, pictures = 0;
  for (const int64_t index : longest_first) {
    tokens += items[static_cast<size_t>(index)].tokens;
    pictures += items[static_cast<size_t>(index)].pictures;
  }
  if (tokens <= limits.tokens && (limits.pictures == 0 || pictures <= limits.pictures)) {
    return {{longest_first.begin(), longest_first.end()}};
  }
  Packs best = best_fit(items, longest_first, limits), even = even_fill(items, longest_first, limits);
  return even.size() < best.size() ? even : best;
}

}  // namespace

std::vector<std::vector<int64_t>> pack(std::span<const PackItem> items, const PackLimits& limits) {
  require(limits.tokens > 0 && limits.tokens <= kMostRoom, "packing: {} tokens a pack, expected 1 to {}", limits.tokens,
          kMostRoom);
  Packs alone;
  std::vector<int64_t> order;
  order.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    require(items[i].tokens >= 0 && items[i].pictures >= 0, "packing: sample {} has {} tokens and {} pictures", i,
            items[i].tokens, items[i].pictures);
    if (items[i].tokens > limits.tokens || (limits.pictures > 0 && items[i].pictures > limits.pictures)) {
      alone.push_back({static_cast<int64_t>(i)});
    } else {
      order.push_back(static_cast<int64_t>(i));
    }
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return items[static_cast<size_t>(a)].tokens > items[static_cast<size_t>(b)].tokens;
  });
  Packs packs = packed(items, order, limits);
  packs.insert(packs.end(), alone.begin(), alone.end());
  for (auto& one : packs) std::sort(one.begin(), one.end());
  std::sort(packs.begin(), packs.end(), [](const auto& a, const auto& b) { return a.front() < b.front(); });
  return packs;
}

double fill(std::span<const PackItem> items, const std::vector<std::vector<int64_t>>& packs, int64_t tokens) {
  if (packs.empty()) return 1;
  int64_t held = 0;
  for (const PackItem& item : items) held += std::min(item.tokens, tokens);
  return static_cast<double>(held) / (static_cast<double>(packs.size()) * static_cast<double>(tokens));
}

}  // namespace ocelli::data
