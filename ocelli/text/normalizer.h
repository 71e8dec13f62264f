#pragma once

#include <memory>
#include <string>

#include "ocelli/base/json.h"

namespace ocelli::text {

/// Rewrites a text before it is split.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// `text`: valid UTF-8, before and after. Throws Error when it would grow beyond 64 times its size plus 1 MiB.
  virtual void apply(std::string& text) const = 0;
};

/// `normalizer` of a `tokenizer.json`: NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, ByteLevel,
/// BertNormalizer, Precompiled, Sequence.
/// Throws Error naming another type.
std::unique_ptr<const Normalizer> make_normalizer(const JsonView& config);

}  // namespace ocelli::text
