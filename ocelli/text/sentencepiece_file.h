#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::text {

/// What is in a SentencePiece `tokenizer.model`: the ModelProto of
/// github.com/google/sentencepiece/src/sentencepiece_model.proto, as far as encoding and decoding need it.
struct SentencePieceFile {
  enum class Type : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
  enum class Model : uint8_t { kUnigram = 1, kBpe = 2 };

  struct Piece {
    std::string text;
    float score = 0;  ///< log probability (Unigram) or minus the rank (BPE)
    Type type = Type::kNormal;
  };

  struct Normalizer {
    std::string charsmap;                  ///< see Charsmap; empty: characters stay as they are
    bool add_dummy_prefix = true;          ///< a space before the text (behind it with treat_whitespace_as_suffix)
    bool remove_extra_whitespaces = true;  ///< trims, and makes one space of a run
    bool escape_whitespaces = true;        ///< a space becomes U+2581
  };

  std::vector<Piece> pieces;  ///< index = id
  Model model = Model::kUnigram;
  bool byte_fallback = false;
  bool treat_whitespace_as_suffix = false;
  std::string unk_surface = " \xE2\x81\x87 ";  ///< what the unknown token decodes to
  std::string bos_piece = "<s>", eos_piece = "</s>", pad_piece = "<pad>";
  Normalizer normalizer;
  Normalizer denormalizer;  ///< applied to decoded text when it has a charsmap
};

/// Reads a file's bytes. Throws Error naming `origin` when it is no such protobuf, has no piece or more than 2^21, a piece is
/// empty, above 4,096 bytes or no valid UTF-8, a score is not finite, or the model is WORD or CHAR.
SentencePieceFile parse_sentencepiece(std::string_view bytes, const std::string& origin);

}  // namespace ocelli::text
