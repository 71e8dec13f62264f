#include "ocelli/text/model.h"

#include <string>

#include "ocelli/text/bpe.h"
#include "ocelli/text/unigram.h"
#include "ocelli/text/wordpiece.h"

namespace ocelli::text {

namespace {

/// As `tokenizers` tells untyped models apart.
std::string type_of(const JsonView& config) {
  if (config.has("type")) return config.string("type");
  if (config.has("vocab") && config.value()["vocab"].is_array()) return "Unigram";
  return config.has("continuing_subword_prefix") && !config.has("merges") ? "WordPiece" : "BPE";
}

}  // namespace

std::unique_ptr<const TokenModel> make_model(const JsonView& config) {
  const std::string type = type_of(config);
  if (type == "BPE") return std::make_unique<Bpe>(config);
  if (type == "Unigram") return std::make_unique<Unigram>(config);
  if (type == "WordPiece") return std::make_unique<WordPiece>(config);
  fail("{}: model type '{}' isn't supported (BPE, Unigram, WordPiece are)", config.path(), type);
}

}  // namespace ocelli::text
