#include "ocelli/text/sentencepiece_file.h"

#include <cmath>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/text/protobuf.h"
#include "ocelli/text/utf8.h"
#include "ocelli/text/vocabulary.h"

namespace ocelli::text {

namespace {

// Longer ones would make every step of a search long; published models stay below a hundred.
constexpr size_t kMaxPieceBytes = 4096;

SentencePieceFile::Piece read_piece(std::string_view bytes, const std::string& origin) {
  SentencePieceFile::Piece piece;
  int32_t type = 1;
  ProtoReader reader(bytes, origin);
  while (const auto field = reader.next()) {
    if (*field == 1) piece.text = reader.bytes();
    if (*field == 2) piece.score = reader.fixed_float();
    if (*field == 3) type = reader.int32();
  }
  require(!piece.text.empty(), "{} is empty", origin);
  require(piece.text.size() <= kMaxPieceBytes, "{} has {} bytes, at most {} are allowed", origin, piece.text.size(),
          kMaxPieceBytes);
  require(is_valid_utf8(piece.text), "{} is no valid UTF-8", origin);
  require(std::isfinite(piece.score), "{} ('{}') has the score {}, expected a finite number", origin, piece.text, piece.score);
  require(type >= 1 && type <= 6, "{} ('{}') is of type {}, expected 1 to 6", origin, piece.text, type);
  piece.type = static_cast<SentencePieceFile::Type>(type);
  return piece;
}

void read_trainer(std::string_view bytes, const std::string& origin, SentencePieceFile& file) {
  const auto named = [](std::string_view piece, const char* fallback) {
    return piece.empty() ? std::string(fallback) : std::string(piece);
  };
  ProtoReader reader(bytes, origin);
  while (const auto field = reader.next()) {
    switch (*field) {
      case 3: {
        const int32_t type = reader.int32();
        require(type == 1 || type == 2, "{}: model_type {} isn't supported (1, UNIGRAM, and 2, BPE, are)", origin, type);
        file.model = static_cast<SentencePieceFile::Model>(type);
        break;
      }
      case 24:
        file.treat_whitespace_as_suffix = reader.boolean();
        break;
      case 35:
        file.byte_fallback = reader.boolean();
        break;
      case 44:
        file.unk_surface = valid_utf8(reader.bytes());
        require(file.unk_surface.size() <= kMaxPieceBytes, "{}: unk_surface has {} bytes, at most {} are allowed", origin,
                file.unk_surface.size(), kMaxPieceBytes);
        break;
      case 46:
        file.bos_piece = named(reader.bytes(), "<s>");
        break;
      case 47:
        file.eos_piece = named(reader.bytes(), "</s>");
        break;
      case 48:
        file.pad_piece = named(reader.bytes(), "<pad>");
        break;
      default:
        break;
    }
  }
}

void read_normalizer(std::string_view bytes, const std::string& origin, SentencePieceFile::Normalizer& normalizer) {
  ProtoReader reader(bytes, origin);
  while (const auto field = reader.next()) {
    if (*field == 2) normalizer.charsmap = reader.bytes();
    if (*field == 3) normalizer.add_dummy_prefix = reader.boolean();
    if (*field == 4) normalizer.remove_extra_whitespaces = reader.boolean();
    if (*field == 5) normalizer.escape_whitespaces = reader.boolean();
  }
}

}  // namespace

SentencePieceFile parse_sentencepiece(std::string_view bytes, const std::string& origin) {
  SentencePieceFile file;
  ProtoReader reader(bytes, origin);
  while (const auto field = reader.next()) {
    if (*field == 1) {
      require(file.pieces.size() < static_cast<size_t>(kMaxTokenId), "{}: more than {} pieces", origin, kMaxTokenId);
      file.pieces.push_back(read_piece(reader.bytes(), fmt::format("{}: piece {}", origin, file.pieces.size())));
    }
    if (*field == 2) read_trainer(reader.bytes(), origin + ": trainer_spec", file);
    if (*field == 3) read_normalizer(reader.bytes(), origin + ": normalizer_spec", file.normalizer);
    if (*field == 5) read_normalizer(reader.bytes(), origin + ": denormalizer_spec", file.denormalizer);
  }
  require(!file.pieces.empty(), "{}: no pieces are in it (no SentencePiece model?)", origin);
  return file;
}

}  // namespace ocelli::text
