#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/text/vocabulary.h"

namespace ocelli::text {

/// Turns one piece of text into tokens: the `model` of a `tokenizer.json`.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  /// Appends the ids of one piece (valid UTF-8).
  virtual void encode(std::string_view piece, std::vector<int64_t>& ids) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
};

/// BPE, Unigram or WordPiece; old files without `type` are told by their keys. Throws Error naming another type.
std::unique_ptr<const TokenModel> make_model(const JsonView& config);

}  // namespace ocelli::text
