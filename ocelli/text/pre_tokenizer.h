#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::text {

/// A text cut into pieces: piece i is text[ends[i-1], ends[i]). No piece is empty.
struct Pieces {
  std::string text;
  std::vector<size_t> ends;
  /// The first piece stands at the very beginning of what is encoded (Metaspace "first" asks).
  bool at_start = false;

  /// Appends one piece; nothing when it is empty.
  void add(std::string_view piece) {
    if (piece.empty()) return;
    text += piece;
    ends.push_back(text.size());
  }
  size_t size() const { return ends.size(); }
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(text).substr(begin, ends[i] - begin);
  }
};

/// Cuts a text into the pieces within which tokens are made.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

/// `pre_tokenizer` of a `tokenizer.json`: ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, BertPreTokenizer,
/// Punctuation, Sequence.
/// Throws Error naming another type.
std::unique_ptr<const PreTokenizer> make_pre_tokenizer(const JsonView& config);

}  // namespace ocelli::text
