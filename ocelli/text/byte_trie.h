#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace ocelli::text {

/// Strings and their values, asked for every one that starts at a place in a text. Built once; a node's children lie side by
/// side in the order of their bytes.
class ByteTrie {
 public:
  ByteTrie() = default;
  /// Values are 0 or more. Of equal strings the last counts; empty ones are left out. Throws Error when the strings have more
  /// than 64 MiB together.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries);

  /// Calls take(length, value) for every string `text` starts with, the shortest first.
  template <typename Take>
  void prefixes(std::string_view text, Take&& take) const {
    int32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<uint8_t>(text[i]));
      if (node < 0) return;
      if (const int32_t value = nodes_[static_cast<size_t>(node)].value; value >= 0) take(i + 1, value);
    }
  }

  struct Match {
    size_t length = 0;  ///< 0: none
    int32_t value = -1;
  };
  Match longest(std::string_view text) const {
    Match match;
    prefixes(text, [&](size_t length, int32_t value) { match = {length, value}; });
    return match;
  }
  bool empty() const { return nodes_.size() <= 1; }

 private:
  struct Node {
    int32_t first_child = 0;
    int32_t value = -1;
    uint16_t children = 0;
    uint8_t byte = 0;
  };
  int32_t child(int32_t node, uint8_t byte) const;

  std::vector<Node> nodes_;
  std::array<int32_t, 256> roots_{};  ///< the root's children; -1 where there is none
};

}  // namespace ocelli::text
