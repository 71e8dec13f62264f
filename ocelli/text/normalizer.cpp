#include "ocelli/text/normalizer.h"

#include <utility>
#include <vector>

#include "ocelli/text/base64.h"
#include "ocelli/text/bert_characters.h"
#include "ocelli/text/byte_level.h"
#include "ocelli/text/charsmap.h"
#include "ocelli/text/replace.h"
#include "ocelli/text/unicode.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

class UnicodeForm final : public Normalizer {
 public:
  explicit UnicodeForm(NormalForm form) : form_(form) {}
  void apply(std::string& text) const override { text = normalize_unicode(text, form_); }

 private:
  NormalForm form_;
};

/// Calls take(out, code point) for every code point; the text becomes what is appended to `out`.
template <typename Take>
void rewrite(std::string& text, Take&& take) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint point = code_point_at(text, pos);
    take(out, point.value);
    pos += point.bytes;
  }
  text = std::move(out);
}

class Lowercase final : public Normalizer {
 public:
  void apply(std::string& text) const override { rewrite(text, append_lowercase); }
};

class Bert final : public Normalizer {
 public:
  explicit Bert(const JsonView& config)
      : clean_text_(config.boolean("clean_text", true)),
        handle_chinese_chars_(config.boolean("handle_chinese_chars", true)),
        lowercase_(config.boolean("lowercase", true)),
        strip_accents_(config.boolean("strip_accents", lowercase_)) {}

  void apply(std::string& text) const override {
    if (clean_text_) rewrite(text, clean);
    if (handle_chinese_chars_) rewrite(text, set_apart);
    if (strip_accents_) {
      text = normalize_unicode(text, NormalForm::kNfd);
      rewrite(text, [](std::string& out, char32_t c) {
        if (!is_nonspacing_mark(c)) append_utf8(out, c);
      });
    }
    if (lowercase_) rewrite(text, append_lowercase);
  }

 private:
  static void clean(std::string& out, char32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') {
      out += ' ';
    } else if (c != 0xFFFD && !is_bert_control(c)) {
      append_utf8(out, is_space(c) ? U' ' : c);
    }
  }
  static void set_apart(std::string& out, char32_t c) {
    const bool apart = is_bert_ideograph(c);
    if (apart) out += ' ';
    append_utf8(out, c);
    if (apart) out += ' ';
  }

  bool clean_text_, handle_chinese_chars_, lowercase_, strip_accents_;
};

/// A SentencePiece charsmap the way `tokenizers` reads it: a grapheme of up to five bytes becomes as a whole what its shortest
/// known beginning becomes, longer ones are taken character by character.
class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(const JsonView& config)
      : charsmap_(decode_base64(config.string("precompiled_charsmap"), config.path() + ".precompiled_charsmap"), config.path()) {}

  void apply(std::string& text) const override {
    std::string out;
    out.reserve(text.size());
    const size_t limit = growth_limit(text.size());
    for (size_t pos = 0; pos < text.size();) {
      const std::string_view grapheme = grapheme_at(text, pos);
      pos += grapheme.size();
      const auto whole = grapheme.size() < 6 ? charsmap_.shortest(grapheme) : std::nullopt;
      if (whole) {
        out += whole->replacement;
      } else {
        for (size_t i = 0; i < grapheme.size();) {
          const std::string_view character = grapheme.substr(i, code_point_at(grapheme, i).bytes);
          const auto match = charsmap_.shortest(character);
          out += match ? match->replacement : character;
          i += character.size();
        }
      }
      require(out.size() <= limit, "normalizer: the text grows beyond {} bytes", limit);
    }
    text = std::move(out);
  }

 private:
  Charsmap charsmap_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(const JsonView& config) : prefix_(config.string("prepend")) {
    // It goes before every stretch between added tokens.
    require(prefix_.size() <= 1024, "{}: prepend has {} bytes, at most 1024 are allowed", config.path(), prefix_.size());
  }
  void apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  explicit Replace(const JsonView& config) : replacement_(config) {}
  void apply(std::string& text) const override { replacement_.apply(text); }

 private:
  Replacement replacement_;
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string& text) const override {
    size_t begin = 0, end = text.size();
    while (left_ && begin < end) {
      const CodePoint point = code_point_at(text, begin);
      if (!is_space(point.value)) break;
      begin += point.bytes;
    }
    while (right_ && end > begin) {
      const size_t start = previous_start(text, end);
      if (!is_space(code_point_at(text, start).value)) break;
      end = start;
    }
    text = text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class ByteLevel final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    std::string out;
    append_byte_level(out, text);
    text = std::move(out);
  }
};

class Sequence final : public Normalizer {
 public:
  explicit Sequence(const JsonView& config) {
    const Json& steps = config.value().value("normalizers", Json());
    require(steps.is_array(), "{}: a Sequence needs an array `normalizers`", config.path());
    for (size_t i = 0; i < steps.size(); ++i) {
      steps_.push_back(make_normalizer(JsonView(steps[i], fmt::format("{}.normalizers[{}]", config.path(), i))));
    }
  }
  void apply(std::string& text) const override {
    const size_t limit = growth_limit(text.size());
    for (const auto& step : steps_) {
      step->apply(text);
      require(text.size() <= limit, "normalizer: the text grows beyond {} bytes", limit);
    }
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

}  // namespace

std::unique_ptr<const Normalizer> make_normalizer(const JsonView& config) {
  const std::string type = config.string("type");
  if (type == "NFC") return std::make_unique<UnicodeForm>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<UnicodeForm>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<UnicodeForm>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<UnicodeForm>(NormalForm::kNfkd);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "Prepend") return std::make_unique<Prepend>(config);
  if (type == "Replace") return std::make_unique<Replace>(config);
  if (type == "Strip") return std::make_unique<Strip>(config.boolean("strip_left"), config.boolean("strip_right"));
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "BertNormalizer") return std::make_unique<Bert>(config);
  if (type == "Precompiled") return std::make_unique<Precompiled>(config);
  if (type == "Sequence") return std::make_unique<Sequence>(config);
  fail(
      "{}: normalizer '{}' isn't supported (NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, ByteLevel, BertNormalizer, "
      "Precompiled, Sequence are)",
      config.path(), type);
}

}  // namespace ocelli::text
