#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ocelli/text/byte_trie.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

/// The best way to reach a byte of the text: the token that ends there.
template <typename Score>
struct PathNode {
  int32_t id = -1;
  Score score = 0;
  int32_t begin = -1;  ///< -1: not reached
};

/// The most likely cutting of `text` (valid UTF-8) into tokens (Viterbi; Kudo, arXiv:1804.10959): nodes[i] becomes the best path
/// to byte i. score_of(id, length) is a token's log probability, or nothing for one that mustn't be used. A character that is no
/// token of its own becomes `unknown`. Of equal paths the first found counts, in SentencePiece's order. `Score` is the type sums
/// are kept in: float as SentencePiece, double as `tokenizers`.
template <typename Score, typename ScoreOf>
void find_best_path(std::string_view text, const ByteTrie& trie, ScoreOf&& score_of, Score unknown_score, int32_t unknown,
                    std::vector<PathNode<Score>>& nodes) {
  nodes.assign(text.size() + 1, {});
  for (size_t begin = 0; begin < text.size();) {
    const size_t character = code_point_at(text, begin).bytes;
    const Score here = nodes[begin].score;
    bool single = false;
    trie.prefixes(text.substr(begin), [&](size_t length, int32_t id) {
      const auto score = score_of(id, length);
      if (!score) return;
      const Score candidate = static_cast<Score>(*score) + here;
      PathNode<Score>& node = nodes[begin + length];
      if (node.begin < 0 || candidate > node.score) node = {id, candidate, static_cast<int32_t>(begin)};
      single = single || length == character;
    });
    if (!single) {
      const Score candidate = unknown_score + here;
      PathNode<Score>& node = nodes[begin + character];
      if (node.begin < 0 || candidate > node.score) node = {unknown, candidate, static_cast<int32_t>(begin)};
    }
    begin += character;
  }
}

}  // namespace ocelli::text
