#include <algorithm>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/text/added_tokens.h"
#include "ocelli/text/byte_level.h"
#include "ocelli/text/pattern.h"
#include "ocelli/text/tokenizer.h"
#include "ocelli/text/utf8.h"
#include "ocelli/text/vocabulary.h"

namespace ocelli::text {

namespace {

using Pair = std::pair<int32_t, int32_t>;

struct PairHash {
  size_t operator()(const Pair& pair) const {
    const uint64_t key = (static_cast<uint64_t>(static_cast<uint32_t>(pair.first)) << 32) | static_cast<uint32_t>(pair.second);
    return static_cast<size_t>((key * 0x9E3779B97F4A7C15ULL) >> 16);
  }
};

/// A distinct word of the texts, as symbols merged so far.
struct Word {
  std::vector<int32_t> symbols;
  int64_t count = 0;
};

/// How often a pair stands in the texts, and in which words (some no longer, some twice: both are harmless).
struct PairState {
  int64_t count = 0;
  std::vector<uint32_t> words;
};

struct Candidate {
  int64_t count;
  Pair pair;
  /// std::priority_queue keeps the largest on top: the most frequent, of equals the smaller pair.
  bool operator<(const Candidate& other) const { return count != other.count ? count < other.count : pair > other.pair; }
};

/// Merges one pair after another; counts are kept up to date instead of being taken anew.
class Trainer {
 public:
  explicit Trainer(const TrainOptions& options) : options_(options) {
    for (const std::string& token : options.special_tokens) {
      require(!token.empty() && token.size() <= 1024 && is_valid_utf8(token),
              "train: special token '{}' must be valid UTF-8 of 1 to 1024 bytes", token);
      require(!ids_.contains(token), "train: special token '{}' is given twice", token);
      specials_.add(token, id_of(token));
    }
    // The order of `tokenizers`: by character, not by byte.
    auto characters = byte_characters();
    std::sort(characters.begin(), characters.end());
    for (const char32_t character : characters) {
      std::string token;
      append_utf8(token, character);
      byte_ids_[*byte_of(character)] = id_of(token);
    }
    require(options.vocab_size >= static_cast<int64_t>(tokens_.size()) && options.vocab_size < kMaxTokenId,
            "train: vocab_size {} is outside {} (special tokens and the 256 bytes) to {}", options.vocab_size, tokens_.size(),
            kMaxTokenId - 1);
    require(options.min_frequency >= 1, "train: min_frequency {} must be at least 1", options.min_frequency);
  }

  void train(const std::vector<std::string>& texts) {
    count_words(texts);
    count_pairs();
    while (static_cast<int64_t>(tokens_.size()) < options_.vocab_size && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const auto state = pairs_.find(best.pair);
      if (state == pairs_.end() || state->second.count <= 0) continue;
      if (state->second.count != best.count) {
        queue_.push({state->second.count, best.pair});
        continue;
      }
      if (best.count < options_.min_frequency) break;
      merge(best.pair, std::move(state->second.words));
    }
  }

  Json document() const {
    Json added = Json::array();
    for (const std::string& token : options_.special_tokens) {
      added.push_back({{"id", ids_.at(token)},
                       {"content", token},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
    }
    Json vocab = Json::object();
    for (size_t id = 0; id < tokens_.size(); ++id) vocab[tokens_[id]] = id;
    Json merges = Json::array();
    for (const Pair& pair : merges_) merges.push_back(Json::array({token(pair.first), token(pair.second)}));
    const auto byte_level = [](bool add_prefix_space, bool trim_offsets) {
      return Json{
          {"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", trim_offsets}, {"use_regex", true}};
    };
    return {{"version", "1.0"},
            {"truncation", nullptr},
            {"padding", nullptr},
            {"added_tokens", std::move(added)},
            {"normalizer", nullptr},
            {"pre_tokenizer", byte_level(false, true)},
            {"post_processor", byte_level(true, false)},
            {"decoder", byte_level(true, true)},
            {"model",
             {{"type", "BPE"},
              {"dropout", nullptr},
              {"unk_token", nullptr},
              {"continuing_subword_prefix", nullptr},
              {"end_of_word_suffix", nullptr},
              {"fuse_unk", false},
              {"byte_fallback", false},
              {"ignore_merges", false},
              {"vocab", std::move(vocab)},
              {"merges", std::move(merges)}}}};
  }

 private:
  const std::string& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }

  /// The id of a token, given the next free one when it is new. A token can be made by two different pairs.
  int32_t id_of(const std::string& token) {
    const auto [place, inserted] = ids_.emplace(token, static_cast<int32_t>(tokens_.size()));
    if (inserted) tokens_.push_back(token);
    return place->second;
  }

  void count_words(const std::vector<std::string>& texts) {
    StringMap<int64_t> counts;
    const auto pattern = gpt2_pattern();
    std::vector<Span> spans;
    const auto count = [&](std::string_view part) {
      spans.clear();
      pattern->cover(part, spans);
      for (const Span& span : spans) {
        const std::string_view word = part.substr(span.begin, span.end - span.begin);
        const auto found = counts.find(word);
        if (found != counts.end()) {
          ++found->second;
        } else {
          counts.emplace(word, 1);
        }
      }
    };
    for (const std::string& raw : texts) {
      const std::string text = is_valid_utf8(raw) ? raw : valid_utf8(raw);
      size_t covered = 0;
      for (auto special = specials_.find(text, 0); special.value >= 0; special = specials_.find(text, covered)) {
        count(std::string_view(text).substr(covered, special.begin - covered));
        covered = special.end;
      }
      count(std::string_view(text).substr(covered));
    }
    words_.reserve(counts.size());
    for (const auto& [word, times] : counts) {
      Word entry{.symbols = {}, .count = times};
      entry.symbols.reserve(word.size());
      for (const char byte : word) entry.symbols.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
      words_.push_back(std::move(entry));
    }
  }

  void change(const Pair& pair, int64_t by, uint32_t word) {
    PairState& state = pairs_[pair];
    state.count += by;
    if (by > 0 && (state.words.empty() || state.words.back() != word)) state.words.push_back(word);
  }

  void count_pairs() {
    for (size_t w = 0; w < words_.size(); ++w) {
      const Word& word = words_[w];
      for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
        change({word.symbols[i], word.symbols[i + 1]}, word.count, static_cast<uint32_t>(w));
      }
    }
    for (const auto& [pair, state] : pairs_) queue_.push({state.count, pair});
  }

  void merge(const Pair& pair, const std::vector<uint32_t> words) {
    const int32_t merged = id_of(token(pair.first) + token(pair.second));
    // A pair comes back when its left half is made in a second way; it is merged again, but needs no second line.
    if (known_.insert(pair).second) merges_.push_back(pair);
    std::unordered_set<Pair, PairHash> grown;
    for (const uint32_t w : words) {
      Word& word = words_[w];
      auto& symbols = word.symbols;
      size_t out = 0;
      for (size_t i = 0; i < symbols.size(); ++i) {
        if (symbols[i] != pair.first || i + 1 >= symbols.size() || symbols[i + 1] != pair.second) {
          symbols[out++] = symbols[i];
          continue;
        }
        if (out > 0) {
          change({symbols[out - 1], pair.first}, -word.count, w);
          change({symbols[out - 1], merged}, word.count, w);
          grown.insert({symbols[out - 1], merged});
        }
        if (i + 2 < symbols.size()) {
          change({pair.second, symbols[i + 2]}, -word.count, w);
          change({merged, symbols[i + 2]}, word.count, w);
          grown.insert({merged, symbols[i + 2]});
        }
        symbols[out++] = merged;
        ++i;
      }
      symbols.resize(out);
    }
    pairs_.erase(pair);
    for (const Pair& other : grown) {
      const auto state = pairs_.find(other);
      if (state != pairs_.end()) queue_.push({state->second.count, other});
    }
  }

  TrainOptions options_;
  StringFinder specials_;
  StringMap<int32_t> ids_;
  std::vector<std::string> tokens_;
  std::array<int32_t, 256> byte_ids_{};
  std::vector<Word> words_;
  std::unordered_map<Pair, PairState, PairHash> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> merges_;
  std::unordered_set<Pair, PairHash> known_;
};

}  // namespace

Json train_byte_level_bpe(const std::vector<std::string>& texts, const TrainOptions& options) {
  Trainer trainer(options);
  trainer.train(texts);
  return trainer.document();
}

}  // namespace ocelli::text
