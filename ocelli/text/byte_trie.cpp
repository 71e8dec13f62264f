#include "ocelli/text/byte_trie.h"

#include <algorithm>

#include "ocelli/base/error.h"

namespace ocelli::text {

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries) {
  roots_.fill(-1);
  // Node indices are 32 bits, and a node can be needed for every byte.
  constexpr size_t kMaxBytes = 64ULL << 20;
  size_t total = 0;
  for (const auto& entry : entries) total += entry.first.size();
  require(total <= kMaxBytes, "tokenizer: the tokens have {} bytes together, at most {} are taken", total, kMaxBytes);
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });

  // Breadth first: a range of entries that share a prefix is a node, and its children are made side by side.
  struct Range {
    size_t begin, end, depth;
    int32_t node;
  };
  nodes_.emplace_back();
  std::vector<Range> queue = {{0, entries.size(), 0, 0}};
  for (size_t head = 0; head < queue.size(); ++head) {
    Range range = queue[head];
    // Sorted, the strings that end here come first.
    while (range.begin < range.end && entries[range.begin].first.size() == range.depth) {
      if (range.depth > 0) nodes_[static_cast<size_t>(range.node)].value = entries[range.begin].second;
      ++range.begin;
    }
    nodes_[static_cast<size_t>(range.node)].first_child = static_cast<int32_t>(nodes_.size());
    uint16_t children = 0;
    for (size_t begin = range.begin; begin < range.end; ++children) {
      const char byte = entries[begin].first[range.depth];
      size_t end = begin;
      while (end < range.end && entries[end].first[range.depth] == byte) ++end;
      const auto node = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back().byte = static_cast<uint8_t>(byte);
      if (range.depth == 0) roots_[static_cast<uint8_t>(byte)] = node;
      queue.push_back({begin, end, range.depth + 1, node});
      begin = end;
    }
    nodes_[static_cast<size_t>(range.node)].children = children;
  }
}

int32_t ByteTrie::child(int32_t node, uint8_t byte) const {
  if (nodes_.empty()) return -1;
  if (node == 0) return roots_[byte];
  const Node& parent = nodes_[static_cast<size_t>(node)];
  const auto first = nodes_.begin() + parent.first_child;
  const auto last = first + parent.children;
  const auto found =
      std::lower_bound(first, last, byte, [](const Node& candidate, uint8_t wanted) { return candidate.byte < wanted; });
  return found != last && found->byte == byte ? static_cast<int32_t>(found - nodes_.begin()) : -1;
}

}  // namespace ocelli::text
