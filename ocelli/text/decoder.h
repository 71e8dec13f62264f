#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::text {

/// Turns tokens back into text.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Rewrites the list; the text is what remains, joined. What a step makes is valid UTF-8: bytes that form no character
  /// become U+FFFD. Throws Error when the text grows beyond 64 times the tokens plus 1 MiB.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// `decoder` of a `tokenizer.json`: ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, BPEDecoder, WordPiece,
/// Sequence.
/// Throws Error naming another type.
std::unique_ptr<const Decoder> make_decoder(const JsonView& config);

}  // namespace ocelli::text
