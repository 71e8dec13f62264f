#include "ocelli/text/sentencepiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/text/sentencepiece_tokenizer.h"

namespace ocelli::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int64_t>;
using Type = SentencePieceFile::Type;

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7F));
  return out + static_cast<char>(value);
}
std::string number_field(uint32_t field, uint64_t value) {
  return varint(uint64_t{field} << 3) + varint(value);
}
std::string bytes_field(uint32_t field, const std::string& bytes) {
  return varint((uint64_t{field} << 3) | 2) + varint(bytes.size()) + bytes;
}
std::string float_field(uint32_t field, float value) {
  std::string out = varint((uint64_t{field} << 3) | 5);
  for (uint32_t bits = std::bit_cast<uint32_t>(value), i = 0; i < 4; ++i, bits >>= 8) out += static_cast<char>(bits & 0xFF);
  return out;
}
std::string piece_field(const std::string& text, float score, Type type) {
  return bytes_field(1, bytes_field(1, text) + float_field(2, score) + number_field(3, static_cast<uint64_t>(type)));
}

constexpr const char* kSpace = "\xE2\x96\x81";

/// <unk> <s> </s> and then the given pieces, with falling scores.
std::string model_bytes(SentencePieceFile::Model model, const std::vector<std::string>& pieces, const std::string& more = "") {
  std::string out =
      piece_field("<unk>", 0, Type::kUnknown) + piece_field("<s>", 0, Type::kControl) + piece_field("</s>", 0, Type::kControl);
  float score = -1;
  for (const std::string& piece : pieces) out += piece_field(piece, score--, Type::kNormal);
  const std::string normalizer = number_field(3, 0) + number_field(4, 0);
  return out + more + bytes_field(2, number_field(3, static_cast<uint64_t>(model))) + bytes_field(3, normalizer);
}

Ids encode(const std::string& bytes, std::string_view text) {
  Ids ids;
  SentencePiece(parse_sentencepiece(bytes, "model"), "model").encode(text, ids);
  return ids;
}

std::string error_of(const std::string& bytes) {
  try {
    SentencePiece(parse_sentencepiece(bytes, "model"), "model");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(SentencePiece, BpeJoinsTheHighestScoreFirstAndTheLeftmostOfEquals) {
  const std::string model = model_bytes(SentencePieceFile::Model::kBpe, {"bc", "ab", "aa", "a", "b", "c"});
  EXPECT_THAT(encode(model, "abc"), ElementsAre(6, 3));
  EXPECT_THAT(encode(model, "aaa"), ElementsAre(5, 6));
}

TEST(SentencePiece, UnigramTakesTheLikeliestPath) {
  const std::string model = model_bytes(SentencePieceFile::Model::kUnigram, {"ab", "b", "a", "abc", "c"});
  EXPECT_THAT(encode(model, "abc"), ElementsAre(6));  // -4 against -1 - 5
  EXPECT_THAT(encode(model, "abab"), ElementsAre(3, 3));
}

TEST(SentencePiece, UserDefinedPiecesStayWhole) {
  const std::string defined = piece_field("ab", 0, Type::kUserDefined);
  for (const auto model : {SentencePieceFile::Model::kBpe, SentencePieceFile::Model::kUnigram}) {
    EXPECT_THAT(encode(model_bytes(model, {"xa", "x", "a", "b", "bx"}, defined), "xabx"), ElementsAre(4, 8, 4));
  }
}

TEST(SentencePiece, UnknownCharactersAreOneUnknownPieceOrTheirBytes) {
  EXPECT_THAT(encode(model_bytes(SentencePieceFile::Model::kBpe, {"a"}), "a\xC3\xA9xa"), ElementsAre(3, 0, 3));
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += piece_field(fmt::format("<0x{:02X}>", byte), 0, Type::kByte);
  const std::string model = model_bytes(SentencePieceFile::Model::kBpe, {"a"}, bytes) + bytes_field(2, number_field(35, 1));
  EXPECT_THAT(encode(model, "a\xC3\xA9"), ElementsAre(3, 4 + 0xC3, 4 + 0xA9));
}

TEST(SentencePiece, DecodingTakesTheDummyPrefixOffTheBeginningAlone) {
  SentencePieceFile file =
      parse_sentencepiece(model_bytes(SentencePieceFile::Model::kBpe, {"a", std::string(kSpace) + "a"}), "model");
  file.normalizer.add_dummy_prefix = true;
  const SentencePiece model(file, "model");
  EXPECT_EQ(model.decode(Ids{4, 4, 3, 1}, true), "a aa");
  EXPECT_EQ(model.decode(Ids{4, 0}, false), " a \xE2\x81\x87 ");
}

TEST(SentencePiece, FilesThatContradictThemselvesAreRefused) {
  const auto bpe = SentencePieceFile::Model::kBpe;
  EXPECT_THAT(error_of(model_bytes(bpe, {"a", "a"})), HasSubstr("the piece 'a' is given twice, as 3 and 4"));
  EXPECT_THAT(error_of(piece_field("a", 0, Type::kNormal)), HasSubstr("no piece is of type UNKNOWN"));
  EXPECT_THAT(error_of(model_bytes(bpe, {}, piece_field("?", 0, Type::kUnknown))), HasSubstr("of type UNKNOWN, 0 and 3"));
  EXPECT_THAT(error_of(model_bytes(bpe, {}, piece_field("<0x00>", 0, Type::kByte))), HasSubstr("byte_fallback is off"));
  EXPECT_THAT(error_of(model_bytes(bpe, {"a"}) + bytes_field(2, number_field(35, 1))), HasSubstr("the piece <0x00> is missing"));
  EXPECT_THAT(error_of(model_bytes(bpe, {"a"}) + bytes_field(2, number_field(3, 3))), HasSubstr("model_type 3 isn't supported"));
  EXPECT_THAT(error_of(model_bytes(bpe, {"\xFF"})), HasSubstr("piece 3 is no valid UTF-8"));
  EXPECT_THAT(error_of(bytes_field(1, bytes_field(1, "a") + number_field(3, 9))), HasSubstr("of type 9, expected 1 to 6"));
  EXPECT_THAT(error_of(""), HasSubstr("no pieces are in it"));
}

TEST(SentencePiece, NoCutFileIsRead) {
  const std::string model = model_bytes(SentencePieceFile::Model::kBpe, {"ab", "a", "b"});
  ASSERT_EQ(error_of(model), "");
  int refused = 0;
  for (size_t size = 0; size < model.size(); ++size) refused += error_of(model.substr(0, size)).empty() ? 0 : 1;
  // A file may end after any whole field; of these most lack nothing that must be there.
  EXPECT_GT(refused, static_cast<int>(model.size()) - 8);
}

TEST(SentencePiece, CharsmapsThatPointOutsideAreRefused) {
  SentencePieceFile file = parse_sentencepiece(model_bytes(SentencePieceFile::Model::kBpe, {"a"}), "model");
  file.normalizer.charsmap = std::string("\xFF\xFF\xFF\x7F", 4) + "abcd";
  EXPECT_THROW(SentencePiece(file, "model"), Error);
  // An array of one unit whose offset leads nowhere: nothing is found, and nothing is read outside.
  file.normalizer.charsmap = std::string("\x04\x00\x00\x00\x00\xFC\xFF\xFF", 8) + std::string("x\0", 2);
  Ids ids;
  SentencePiece(file, "model").encode("a", ids);
  EXPECT_THAT(ids, ElementsAre(3));
}

FolderTokens tokens_of(const Json& config) {
  FolderTokens tokens;
  tokens.config = config;
  tokens.config_path = "config";
  return tokens;
}

TEST(SentencePieceTokenizer, LegacyPutsTheDummyPrefixBehindEverySpecialToken) {
  SentencePieceFile file =
      parse_sentencepiece(model_bytes(SentencePieceFile::Model::kBpe, {std::string(kSpace) + "a", kSpace, "a"}), "model");
  file.normalizer.add_dummy_prefix = true;
  const auto legacy = make_sentencepiece_tokenizer(file, tokens_of(Json::object()), "model");
  EXPECT_THAT(legacy->encode("a</s>a", true), ElementsAre(1, 3, 2, 3));
  const auto now = make_sentencepiece_tokenizer(file, tokens_of({{"legacy", false}}), "model");
  EXPECT_THAT(now->encode("a</s>a", true), ElementsAre(1, 3, 2, 5));
  EXPECT_THAT(now->encode("</s> a", false), ElementsAre(2, 3));
  EXPECT_EQ(now->decode(Ids{1, 3, 2, 3}, false), "<s> a</s> a");
  EXPECT_EQ(now->decode(Ids{1, 3, 2, 3}, true), "a a");
}

TEST(SentencePieceTokenizer, AddedTokensMayTakeOverPieces) {
  const SentencePieceFile file = parse_sentencepiece(model_bytes(SentencePieceFile::Model::kBpe, {"a", "[UNUSED_1]"}), "model");
  FolderTokens tokens = tokens_of(Json::object());
  AddedToken token = plain_special("<|im_start|>");
  token.id = 4;
  tokens.add(token);
  const auto tokenizer = make_sentencepiece_tokenizer(file, tokens, "model");
  EXPECT_THAT(tokenizer->encode("<|im_start|>a", false), ElementsAre(4, 3));
  EXPECT_EQ(tokenizer->token_of(4), "<|im_start|>");
  EXPECT_EQ(tokenizer->id_of("[UNUSED_1]"), std::nullopt);
  EXPECT_EQ(tokenizer->vocab_size(), 5);
  EXPECT_THROW(tokenizer->decode(Ids{5}, false), Error);
}

}  // namespace
}  // namespace ocelli::text
