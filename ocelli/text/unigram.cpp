#include "ocelli/text/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "ocelli/text/best_path.h"

namespace ocelli::text {

namespace {

// A search takes up to this many steps at each character.
constexpr size_t kMaxTokenBytes = 4096;

const Json& entries_of(const JsonView& model) {
  const auto vocab = model.value().find("vocab");
  require(vocab != model.value().end() && vocab->is_array(), "{}: `vocab` must be an array of [token, score]", model.path());
  return *vocab;
}

std::vector<std::string> tokens_of(const JsonView& model) {
  const Json& entries = entries_of(model);
  require(entries.size() < static_cast<size_t>(kMaxTokenId), "{}.vocab has {} entries, fewer than {} are taken", model.path(),
          entries.size(), kMaxTokenId);
  std::vector<std::string> tokens;
  tokens.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const Json& entry = entries[i];
    require(entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number(),
            "{}.vocab[{}] is no [token, score]", model.path(), i);
    tokens.push_back(entry[0].get<std::string>());
    require(tokens.back().size() <= kMaxTokenBytes, "{}.vocab[{}] has {} bytes, at most {} are allowed", model.path(), i,
            tokens.back().size(), kMaxTokenBytes);
  }
  return tokens;
}

}  // namespace

Unigram::Unigram(const JsonView& model)
    : vocabulary_(tokens_of(model), model.path() + ".vocab"), byte_fallback_(model.boolean("byte_fallback", false)) {
  const Json& entries = entries_of(model);
  min_score_ = std::numeric_limits<double>::infinity();
  std::vector<std::pair<std::string_view, int32_t>> tokens;
  for (size_t i = 0; i < entries.size(); ++i) {
    const double score = entries[i][1].get<double>();
    require(std::isfinite(score), "{}.vocab[{}] has a score that is not finite", model.path(), i);
    scores_.push_back(score);
    min_score_ = std::min(min_score_, score);
    tokens.emplace_back(entries[i][0].get_ref<const std::string&>(), static_cast<int32_t>(i));
  }
  trie_ = ByteTrie(std::move(tokens));
  if (model.has("unk_id")) {
    require(!entries.empty(), "{}: `vocab` is empty", model.path());
    unknown_ = static_cast<int32_t>(model.integer_in("unk_id", 0, static_cast<int64_t>(entries.size()) - 1));
  }
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    byte_ids_[byte] = vocabulary_.id_of(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

void Unigram::add_text(std::string_view text, std::vector<int64_t>& ids) const {
  if (const auto id = vocabulary_.id_of(text)) {
    ids.push_back(*id);
    return;
  }
  const auto byte_id = [this](char byte) { return byte_ids_[static_cast<uint8_t>(byte)]; };
  if (byte_fallback_ && std::all_of(text.begin(), text.end(), [&](char byte) { return byte_id(byte) >= 0; })) {
    for (const char byte : text) ids.push_back(byte_id(byte));
    return;
  }
  require(unknown_ >= 0, "tokenizer: '{}' is no token, and the model has no unk_id", text);
  ids.push_back(unknown_);
}

void Unigram::encode(std::string_view piece, std::vector<int64_t>& ids) const {
  constexpr double kUnknownPenalty = 10.0;
  std::vector<PathNode<double>> nodes;
  find_best_path<double>(
      piece, trie_, [this](int32_t id, size_t) -> std::optional<double> { return scores_[static_cast<size_t>(id)]; },
      min_score_ - kUnknownPenalty, unknown_, nodes);
  // From the end backwards: stretches [begin, end), neighbouring unknown ones joined.
  std::vector<std::pair<size_t, size_t>> stretches;
  bool after_unknown = false;
  for (size_t end = piece.size(); end > 0;) {
    const PathNode<double>& node = nodes[end];
    const auto begin = static_cast<size_t>(node.begin);
    const bool unknown = node.id == unknown_;
    if (unknown && after_unknown) {
      stretches.back().first = begin;
    } else {
      stretches.emplace_back(begin, end);
    }
    after_unknown = unknown;
    end = begin;
  }
  for (auto stretch = stretches.rbegin(); stretch != stretches.rend(); ++stretch) {
    add_text(piece.substr(stretch->first, stretch->second - stretch->first), ids);
  }
}

}  // namespace ocelli::text
