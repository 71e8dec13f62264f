#include "ocelli/text/normalizer.h"

#include <utility>
#include <vector>

#include "ocelli/text/byte_level.h"
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

class Lowercase final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    std::string out;
    out.reserve(text.size());
    for (size_t pos = 0; pos < text.size();) {
      const CodePoint point = code_point_at(text, pos);
      append_lowercase(out, point.value);
      pos += point.bytes;
    }
    text = std::move(out);
  }
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
  if (type == "Sequence") return std::make_unique<Sequence>(config);
  fail("{}: normalizer '{}' isn't supported (NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, ByteLevel, Sequence are)",
       config.path(), type);
}

}  // namespace ocelli::text
