#include "ocelli/text/sentencepiece.h"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/text/best_path.h"
#include "ocelli/text/piece_merge.h"
#include "ocelli/text/replace.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";
constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";
// Offsets are 32 bits.
constexpr size_t kMaxNormalizedBytes = 1ULL << 30;

/// The byte that `<0x41>` stands for; -1 when it is no such piece. Upper-case digits alone, as SentencePiece writes them.
int byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  int value = 0;
  for (const char digit : piece.substr(3, 2)) {
    if (digit >= '0' && digit <= '9') {
      value = 16 * value + (digit - '0');
    } else if (digit >= 'A' && digit <= 'F') {
      value = 16 * value + (digit - 'A' + 10);
    } else {
      return -1;
    }
  }
  return value;
}

}  // namespace

SentencePieceNormalizer::SentencePieceNormalizer(const SentencePieceFile::Normalizer& rules, bool space_behind,
                                                 const std::string& origin)
    : charsmap_(rules.charsmap, origin),
      space_(rules.escape_whitespaces ? kSpaceSymbol : std::string_view(" ")),
      add_dummy_prefix_(rules.add_dummy_prefix),
      remove_extra_whitespaces_(rules.remove_extra_whitespaces),
      space_behind_(space_behind) {}

SentencePieceNormalizer::Prefix SentencePieceNormalizer::prefix(std::string_view text, const ByteTrie& kept) const {
  if (const ByteTrie::Match match = kept.longest(text); match.length > 0) return {text.substr(0, match.length), match.length};
  if (const auto match = charsmap_.longest(text)) return {match->replacement, match->length};
  const CodePoint point = code_point_at(text, 0);
  if (point.value == 0xFFFD && point.bytes == 1) return {kReplacementCharacter, 1};
  return {text.substr(0, point.bytes), point.bytes};
}

std::string SentencePieceNormalizer::apply(std::string_view text, const ByteTrie& kept) const {
  std::string out;
  const size_t limit = std::min(growth_limit(text.size()), kMaxNormalizedBytes);
  if (remove_extra_whitespaces_) {
    while (!text.empty()) {
      const Prefix next = prefix(text, kept);
      if (next.replacement != " ") break;
      text.remove_prefix(next.length);
    }
  }
  if (text.empty()) return out;
  out.reserve(text.size() + text.size() / 2 + 8);
  if (add_dummy_prefix_ && !space_behind_) out += space_;
  bool after_space = remove_extra_whitespaces_;
  while (!text.empty()) {
    const Prefix next = prefix(text, kept);
    std::string_view part = next.replacement;
    while (after_space && part.starts_with(' ')) part.remove_prefix(1);
    if (!part.empty()) {
      for (const char byte : part) {
        if (byte == ' ') {
          out += space_;
        } else {
          out += byte;
        }
      }
      after_space = part.ends_with(' ');
    }
    text.remove_prefix(next.length);
    if (!remove_extra_whitespaces_) after_space = false;
    require(out.size() <= limit, "tokenizer: normalized, the text grows beyond {} bytes", limit);
  }
  if (remove_extra_whitespaces_) {
    while (std::string_view(out).ends_with(space_)) out.resize(out.size() - space_.size());
  }
  if (add_dummy_prefix_ && space_behind_) out += space_;
  return out;
}

SentencePiece::SentencePiece(SentencePieceFile file, const std::string& origin)
    : file_(std::move(file)),
      normalizer_(file_.normalizer, file_.treat_whitespace_as_suffix, origin + ": normalizer_spec"),
      denormalizer_(file_.denormalizer, false, origin + ": denormalizer_spec") {
  byte_ids_.fill(-1);
  bytes_.assign(file_.pieces.size(), -1);
  min_score_ = std::numeric_limits<float>::max();
  max_score_ = std::numeric_limits<float>::min();  // the least positive number: what SentencePiece starts from
  std::vector<std::pair<std::string_view, int32_t>> user_defined, all;
  for (size_t i = 0; i < file_.pieces.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    add_piece(id, origin);
    const SentencePieceFile::Piece& piece = file_.pieces[i];
    if (piece.type == Type::kUserDefined) user_defined.emplace_back(piece.text, id);
    if (piece.type == Type::kNormal || piece.type == Type::kUserDefined || piece.type == Type::kUnused) {
      all.emplace_back(piece.text, id);
      longest_ = std::max(longest_, piece.text.size());
    }
    if (piece.type == Type::kNormal) {
      min_score_ = std::min(min_score_, piece.score);
      max_score_ = std::max(max_score_, piece.score);
    }
  }
  require(unknown_ >= 0, "{}: no piece is of type UNKNOWN, expected one", origin);
  if (file_.byte_fallback) {
    for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
      require(byte_ids_[byte] >= 0, "{}: byte_fallback is on, but the piece <0x{:02X}> is missing", origin, byte);
    }
  }
  user_defined_ = ByteTrie(std::move(user_defined));
  if (file_.model == SentencePieceFile::Model::kUnigram) trie_ = ByteTrie(std::move(all));
}

void SentencePiece::add_piece(int32_t id, const std::string& origin) {
  const SentencePieceFile::Piece& piece = file_.pieces[static_cast<size_t>(id)];
  const bool reserved = piece.type == Type::kUnknown || piece.type == Type::kControl || piece.type == Type::kByte;
  const auto [place, inserted] = (reserved ? reserved_ : pieces_).emplace(piece.text, id);
  require(inserted, "{}: the piece '{}' is given twice, as {} and {}", origin, piece.text, place->second, id);
  if (piece.type == Type::kUnknown) {
    require(unknown_ < 0, "{}: two pieces are of type UNKNOWN, {} and {}", origin, unknown_, id);
    unknown_ = id;
  }
  if (piece.type != Type::kByte) return;
  const int byte = byte_of_piece(piece.text);
  require(file_.byte_fallback, "{}: '{}' is a byte piece, but byte_fallback is off", origin, piece.text);
  require(byte >= 0, "{}: the byte piece '{}' isn't of the form <0x0A>", origin, piece.text);
  byte_ids_[static_cast<size_t>(byte)] = id;
  bytes_[static_cast<size_t>(id)] = static_cast<int16_t>(byte);
}

std::optional<int64_t> SentencePiece::id_of(std::string_view piece) const {
  if (const auto found = reserved_.find(piece); found != reserved_.end()) return found->second;
  if (const auto found = pieces_.find(piece); found != pieces_.end()) return found->second;
  return std::nullopt;
}

int32_t SentencePiece::id_or_unknown(std::string_view piece) const {
  return static_cast<int32_t>(id_of(piece).value_or(unknown_));
}

void SentencePiece::encode(std::string_view text, std::vector<int64_t>& ids) const {
  const std::string normalized = normalizer_.apply(text, user_defined_);
  if (normalized.empty()) return;
  std::vector<Found> found;
  if (file_.model == SentencePieceFile::Model::kBpe) {
    encode_bpe(normalized, found);
  } else {
    encode_unigram(normalized, found);
  }
  bool after_unknown = false;
  for (const Found& piece : found) {
    const bool unknown = piece.id == unknown_;
    if (unknown && file_.byte_fallback) {
      for (const char byte : std::string_view(normalized).substr(piece.begin, piece.size)) {
        ids.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
      }
    } else if (!unknown || !after_unknown) {
      ids.push_back(piece.id);
    }
    after_unknown = unknown;
  }
}

void SentencePiece::encode_bpe(std::string_view text, std::vector<Found>& found) const {
  PieceMerger merger;
  for (size_t begin = 0; begin < text.size();) {
    const ByteTrie::Match match = user_defined_.longest(text.substr(begin));
    const size_t size = match.length > 0 ? match.length : code_point_at(text, begin).bytes;
    merger.add(static_cast<uint32_t>(begin), static_cast<uint32_t>(size), match.length > 0);
    begin += size;
  }
  // Unused pieces take part in merging, and what is still one at the end is taken apart the way it came about last.
  std::unordered_map<std::string_view, uint32_t> halves;  // unused piece -> size of its left half
  merger.merge(text, [&](uint32_t left, std::string_view joined) -> std::optional<double> {
    if (joined.size() > longest_) return std::nullopt;
    const auto place = pieces_.find(joined);
    if (place == pieces_.end()) return std::nullopt;
    if (type(place->second) == Type::kUnused) halves[joined] = left;
    return -static_cast<double>(piece(place->second).score);
  });
  std::vector<Found> waiting;
  for (const PieceSymbol& symbol : merger.symbols()) {
    if (symbol.size == 0) continue;
    waiting.push_back({symbol.begin, symbol.size, -1});
    while (!waiting.empty()) {
      Found part = waiting.back();
      waiting.pop_back();
      const std::string_view bytes = text.substr(part.begin, part.size);
      part.id = id_or_unknown(bytes);
      const auto half = type(part.id) == Type::kUnused ? halves.find(bytes) : halves.end();
      if (half == halves.end()) {
        found.push_back(part);
      } else {
        waiting.push_back({part.begin + half->second, part.size - half->second, -1});
        waiting.push_back({part.begin, half->second, -1});
      }
    }
  }
}

void SentencePiece::encode_unigram(std::string_view text, std::vector<Found>& found) const {
  constexpr float kUnknownPenalty = 10.0F;
  std::vector<PathNode<float>> nodes;
  const auto score_of = [this](int32_t id, size_t length) -> std::optional<double> {
    const SentencePieceFile::Piece& candidate = piece(id);
    if (candidate.type == Type::kUnused) return std::nullopt;
    // So high that it is always taken.
    if (candidate.type == Type::kUserDefined) return static_cast<double>(static_cast<float>(length) * max_score_) - 0.1;
    return candidate.score;
  };
  find_best_path<float>(text, trie_, score_of, min_score_ - kUnknownPenalty, unknown_, nodes);
  const size_t before = found.size();
  for (auto end = static_cast<int32_t>(text.size()); end > 0; end = nodes[static_cast<size_t>(end)].begin) {
    const PathNode<float>& node = nodes[static_cast<size_t>(end)];
    found.push_back({static_cast<uint32_t>(node.begin), static_cast<uint32_t>(end - node.begin), node.id});
  }
  std::reverse(found.begin() + static_cast<std::ptrdiff_t>(before), found.end());
}

std::string SentencePiece::decode(std::span<const int64_t> ids, bool at_start) const {
  const SentencePieceFile::Normalizer& rules = file_.normalizer;
  std::string text, bytes;
  const auto flush = [&] {
    for (size_t pos = 0; pos < bytes.size();) {
      const CodePoint point = code_point_at(bytes, pos);
      if (point.value == 0xFFFD && point.bytes == 1) {
        text += kReplacementCharacter;
      } else {
        text.append(bytes, pos, point.bytes);
      }
      pos += point.bytes;
    }
    bytes.clear();
  };
  bool expect_prefix = at_start;
  bool took_prefix = false;
  for (const int64_t id : ids) {
    if (const int16_t byte = bytes_[static_cast<size_t>(id)]; byte >= 0) {
      bytes += static_cast<char>(byte);
      continue;
    }
    flush();
    if (took_prefix || !text.empty()) expect_prefix = false;
    took_prefix = false;
    if (type(id) == Type::kControl) continue;
    if (type(id) == Type::kUnknown) {
      text += file_.unk_surface;
      continue;
    }
    std::string_view rest = piece(id).text;
    if (expect_prefix && (rules.add_dummy_prefix || rules.remove_extra_whitespaces) && rest.starts_with(kSpaceSymbol)) {
      rest.remove_prefix(kSpaceSymbol.size());
      // With extra white space removed, all that stands at the beginning goes.
      took_prefix = !rules.remove_extra_whitespaces;
    }
    text += replace_all(rest, kSpaceSymbol, " ");
  }
  flush();
  return file_.denormalizer.charsmap.empty() ? text : denormalizer_.apply(text, ByteTrie());
}

}  // namespace ocelli::text
