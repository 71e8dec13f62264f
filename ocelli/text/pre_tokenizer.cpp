#include "ocelli/text/pre_tokenizer.h"

#include <utility>

#include "ocelli/text/bert_characters.h"
#include "ocelli/text/byte_level.h"
#include "ocelli/text/pattern.h"
#include "ocelli/text/replace.h"
#include "ocelli/text/unicode.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

/// What becomes of a match: `a-b` cut at `-` gives a b; a - b; a- b; a -b; as kIsolated, but neighbouring matches stay one.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// Split must say it, Punctuation need not.
Behavior behavior_of(const JsonView& config, std::string_view fallback = "") {
  const std::string name = config.string("behavior", fallback);
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  fail("{}: behavior '{}' is unknown (Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous)", config.path(), name);
}

/// Joins spans as `behavior` says. Of a run of matches only the one next to other text is merged with it.
void arrange(std::vector<Span>& spans, Behavior behavior) {
  if (behavior == Behavior::kRemoved || behavior == Behavior::kIsolated) return;
  std::vector<Span> joined;
  joined.reserve(spans.size());
  bool before = false;  // whether the neighbour looked at last was a match
  const auto take = [&](const Span& span, bool backwards) {
    const bool join = behavior == Behavior::kContiguous ? span.matched == before : span.matched && !before;
    before = span.matched;
    if (!join || joined.empty()) {
      joined.push_back(span);
    } else if (backwards) {
      joined.back().begin = span.begin;
    } else {
      joined.back().end = span.end;
    }
  };
  if (behavior == Behavior::kMergedWithNext) {
    for (auto span = spans.rbegin(); span != spans.rend(); ++span) take(*span, true);
    spans.assign(joined.rbegin(), joined.rend());
  } else {
    for (const Span& span : spans) take(span, false);
    spans = std::move(joined);
  }
}

/// Cuts every piece where `cover` says, keeping or removing matches.
template <typename Cover>
void cut(Pieces& pieces, Behavior behavior, Cover&& cover) {
  Pieces out;
  out.text.reserve(pieces.text.size());
  out.at_start = pieces.at_start;
  std::vector<Span> spans;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view piece = pieces[i];
    spans.clear();
    cover(piece, spans);
    arrange(spans, behavior);
    for (const Span& span : spans) {
      if (behavior == Behavior::kRemoved && span.matched) {
        if (out.ends.empty()) out.at_start = false;
        continue;
      }
      out.add(piece.substr(span.begin, span.end - span.begin));
    }
  }
  pieces = std::move(out);
}

/// Spans of the characters that `is_match` picks, each its own match.
template <typename IsMatch>
void cover_characters(std::string_view text, std::vector<Span>& spans, IsMatch&& is_match) {
  size_t covered = 0;
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint point = code_point_at(text, pos);
    const size_t end = pos + point.bytes;
    if (is_match(point.value)) {
      if (covered < pos) spans.push_back({covered, pos, false});
      spans.push_back({pos, end, true});
      covered = end;
    }
    pos = end;
  }
  if (covered < text.size()) spans.push_back({covered, text.size(), false});
}

class ByteLevel final : public PreTokenizer {
 public:
  explicit ByteLevel(const JsonView& config)
      : add_prefix_space_(config.boolean("add_prefix_space")),
        pattern_(config.boolean("use_regex", true) ? gpt2_pattern() : nullptr) {}

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) {
      Pieces spaced;
      spaced.at_start = pieces.at_start;
      for (size_t i = 0; i < pieces.size(); ++i) {
        if (pieces[i].front() == ' ') {
          spaced.add(pieces[i]);
        } else {
          spaced.add(" " + std::string(pieces[i]));
        }
      }
      pieces = std::move(spaced);
    }
    if (pattern_) {
      cut(pieces, Behavior::kIsolated,
          [this](std::string_view piece, std::vector<Span>& spans) { pattern_->cover(piece, spans); });
    }
    Pieces out;
    out.text.reserve(pieces.text.size() + pieces.text.size() / 4);
    out.at_start = pieces.at_start;
    for (size_t i = 0; i < pieces.size(); ++i) {
      append_byte_level(out.text, pieces[i]);
      out.ends.push_back(out.text.size());
    }
    pieces = std::move(out);
  }

 private:
  bool add_prefix_space_;
  std::unique_ptr<const Pattern> pattern_;
};

class Split final : public PreTokenizer {
 public:
  explicit Split(const JsonView& config)
      : pattern_(make_pattern(config.object("pattern"))),
        behavior_(behavior_of(config)),
        invert_(config.boolean("invert", false)) {}

  void apply(Pieces& pieces) const override {
    cut(pieces, behavior_, [this](std::string_view piece, std::vector<Span>& spans) {
      pattern_->cover(piece, spans);
      if (!invert_) return;
      for (Span& span : spans) span.matched = !span.matched;
    });
  }

 private:
  std::unique_ptr<const Pattern> pattern_;
  Behavior behavior_;
  bool invert_;
};

class Digits final : public PreTokenizer {
 public:
  explicit Digits(const JsonView& config)
      : behavior_(config.boolean("individual_digits", false) ? Behavior::kIsolated : Behavior::kContiguous) {}

  void apply(Pieces& pieces) const override {
    cut(pieces, behavior_, [](std::string_view piece, std::vector<Span>& spans) { cover_characters(piece, spans, is_numeric); });
  }

 private:
  Behavior behavior_;
};

/// Spaces become `replacement`, and the text is cut before each: SentencePiece's view of words.
class Metaspace final : public PreTokenizer {
 public:
  explicit Metaspace(const JsonView& config) : replacement_(config.string("replacement")), split_(config.boolean("split", true)) {
    require(!replacement_.empty() && code_point_at(replacement_, 0).bytes == replacement_.size(),
            "{}: replacement '{}' must be one character", config.path(), replacement_);
    character_ = code_point_at(replacement_, 0).value;
    // Files from before prepend_scheme say add_prefix_space.
    const std::string scheme = config.string("prepend_scheme", config.boolean("add_prefix_space", true) ? "always" : "never");
    require(scheme == "always" || scheme == "first" || scheme == "never",
            "{}: prepend_scheme '{}' is unknown (always, first, never)", config.path(), scheme);
    always_ = scheme == "always";
    first_ = scheme == "first";
  }

  void apply(Pieces& pieces) const override {
    Pieces spaced;
    spaced.at_start = pieces.at_start;
    std::string piece;
    for (size_t i = 0; i < pieces.size(); ++i) {
      piece.clear();
      for (const char c : pieces[i]) {
        if (c == ' ') {
          piece += replacement_;
        } else {
          piece += c;
        }
      }
      const bool wanted = always_ || (first_ && i == 0 && pieces.at_start);
      if (wanted && !piece.starts_with(replacement_)) piece.insert(0, replacement_);
      spaced.add(piece);
    }
    pieces = std::move(spaced);
    if (!split_) return;
    cut(pieces, Behavior::kMergedWithNext, [this](std::string_view text, std::vector<Span>& spans) {
      cover_characters(text, spans, [this](char32_t c) { return c == character_; });
    });
  }

 private:
  std::string replacement_;
  char32_t character_ = 0;
  bool split_;
  bool always_ = false, first_ = false;
};

/// `\w+|[^\w\s]+`.
class Whitespace final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    cut(pieces, Behavior::kRemoved, [](std::string_view text, std::vector<Span>& spans) {
      size_t begin = 0;
      int last = -1;
      for (size_t pos = 0; pos < text.size();) {
        const CodePoint point = code_point_at(text, pos);
        const int kind = is_word(point.value) ? 0 : is_space(point.value) ? 1 : 2;
        if (kind != last && pos > begin) {
          spans.push_back({begin, pos, last == 1});
          begin = pos;
        }
        last = kind;
        pos += point.bytes;
      }
      if (begin < text.size()) spans.push_back({begin, text.size(), last == 1});
    });
  }
};

class WhitespaceSplit final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    cut(pieces, Behavior::kRemoved,
        [](std::string_view text, std::vector<Span>& spans) { cover_characters(text, spans, is_space); });
  }
};

class Punctuation final : public PreTokenizer {
 public:
  explicit Punctuation(Behavior behavior) : behavior_(behavior) {}
  void apply(Pieces& pieces) const override {
    cut(pieces, behavior_,
        [](std::string_view text, std::vector<Span>& spans) { cover_characters(text, spans, is_bert_punctuation); });
  }

 private:
  Behavior behavior_;
};

class Bert final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    WhitespaceSplit().apply(pieces);
    Punctuation(Behavior::kIsolated).apply(pieces);
  }
};

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(const JsonView& config) {
    const Json& steps = config.value().value("pretokenizers", Json());
    require(steps.is_array(), "{}: a Sequence needs an array `pretokenizers`", config.path());
    for (size_t i = 0; i < steps.size(); ++i) {
      steps_.push_back(make_pre_tokenizer(JsonView(steps[i], fmt::format("{}.pretokenizers[{}]", config.path(), i))));
    }
  }
  void apply(Pieces& pieces) const override {
    const size_t limit = growth_limit(pieces.text.size());
    for (const auto& step : steps_) {
      step->apply(pieces);
      require(pieces.text.size() <= limit, "pre_tokenizer: the text grows beyond {} bytes", limit);
    }
  }

 private:
  std::vector<std::unique_ptr<const PreTokenizer>> steps_;
};

}  // namespace

std::unique_ptr<const PreTokenizer> make_pre_tokenizer(const JsonView& config) {
  const std::string type = config.string("type");
  if (type == "ByteLevel") return std::make_unique<ByteLevel>(config);
  if (type == "Split") return std::make_unique<Split>(config);
  if (type == "Digits") return std::make_unique<Digits>(config);
  if (type == "Metaspace") return std::make_unique<Metaspace>(config);
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  if (type == "WhitespaceSplit") return std::make_unique<WhitespaceSplit>();
  if (type == "BertPreTokenizer") return std::make_unique<Bert>();
  if (type == "Punctuation") return std::make_unique<Punctuation>(behavior_of(config, "Isolated"));
  if (type == "Sequence") return std::make_unique<Sequence>(config);
  fail(
      "{}: pre_tokenizer '{}' isn't supported (ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, "
      "BertPreTokenizer, "
      "Punctuation, Sequence are)",
      config.path(), type);
}

}  // namespace ocelli::text
