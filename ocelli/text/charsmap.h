#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::text {

/// A `precompiled_charsmap` of SentencePiece: strings and what replaces them, as a double array (github.com/s-yata/darts-clone)
/// over NUL-terminated replacements. Layout: uint32 bytes of the array, the array, the replacements; little-endian.
class Charsmap {
 public:
  Charsmap() = default;
  /// Throws Error naming `origin` when the sizes don't fit or the replacements are no valid UTF-8.
  Charsmap(std::string_view blob, const std::string& origin);

  bool empty() const { return units_.empty(); }

  struct Match {
    size_t length = 0;  ///< bytes replaced
    std::string_view replacement;
  };
  /// The longest (or the shortest) string of the map that `text` starts with. Throws Error when the map points outside itself or
  /// into the middle of a character.
  std::optional<Match> longest(std::string_view text) const { return find(text, false); }
  std::optional<Match> shortest(std::string_view text) const { return find(text, true); }

 private:
  std::optional<Match> find(std::string_view text, bool first) const;
  std::string_view replacement(uint32_t offset) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
  std::string origin_;
};

}  // namespace ocelli::text
