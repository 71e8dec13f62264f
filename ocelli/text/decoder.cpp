#include "ocelli/text/decoder.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "ocelli/text/byte_level.h"
#include "ocelli/text/replace.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

std::string join(const std::vector<std::string>& tokens) {
  return std::accumulate(tokens.begin(), tokens.end(), std::string());
}

size_t total_bytes(const std::vector<std::string>& tokens) {
  return std::accumulate(tokens.begin(), tokens.end(), size_t{0},
                         [](size_t sum, const std::string& token) { return sum + token.size(); });
}

class ByteLevel final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    std::string token_bytes;
    for (const std::string& token : tokens) {
      token_bytes.clear();
      bool printable = true;
      for (size_t pos = 0; printable && pos < token.size();) {
        const CodePoint point = code_point_at(token, pos);
        const auto byte = byte_of(point.value);
        printable = byte.has_value();
        if (printable) token_bytes += static_cast<char>(*byte);
        pos += point.bytes;
      }
      // A token with a character that stands for no byte (an added one, say) is taken as it is.
      bytes += printable ? token_bytes : token;
    }
    tokens.assign(1, valid_utf8(bytes));
  }
};

/// `<0x41>` is a byte; a run of them is text when it is valid UTF-8, else one U+FFFD a byte.
class ByteFallback final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (is_valid_utf8(bytes)) {
        out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_of_token(token)) {
        bytes += static_cast<char>(*byte);
      } else {
        flush();
        out.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(out);
  }

 private:
  static std::optional<uint8_t> byte_of_token(const std::string& token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    const auto digit = [](char c) {
      if (c >= '0' && c <= '9') return c - '0';
      const char lower = static_cast<char>(c | 0x20);
      return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
    };
    const int high = digit(token[3]), low = digit(token[4]);
    if (high < 0 || low < 0) return std::nullopt;
    return static_cast<uint8_t>(16 * high + low);
  }
};

class Fuse final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override { tokens.assign(1, join(tokens)); }
};

class Replace final : public Decoder {
 public:
  explicit Replace(const JsonView& config) : replacement_(config) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) replacement_.apply(token);
  }

 private:
  Replacement replacement_;
};

/// Takes up to `start` leading and `stop` trailing copies of a character off every token.
class Strip final : public Decoder {
 public:
  explicit Strip(const JsonView& config)
      : content_(config.string("content")),
        start_(config.integer_in("start", 0, 1 << 20)),
        stop_(config.integer_in("stop", 0, 1 << 20)) {
    require(!content_.empty() && code_point_at(content_, 0).bytes == content_.size(), "{}: content '{}' must be one character",
            config.path(), content_);
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (int64_t i = 0; i < start_ && rest.starts_with(content_); ++i) rest.remove_prefix(content_.size());
      for (int64_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

class Metaspace final : public Decoder {
 public:
  explicit Metaspace(const JsonView& config) : replacement_(config.string("replacement")) {
    require(!replacement_.empty(), "{}: replacement is empty, expected one character", config.path());
    const std::string scheme = config.string("prepend_scheme", config.boolean("add_prefix_space", true) ? "always" : "never");
    drops_first_ = scheme != "never";
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::string_view space = i == 0 && drops_first_ ? "" : " ";
      tokens[i] = replace_all(tokens[i], replacement_, space);
    }
  }

 private:
  std::string replacement_;
  bool drops_first_ = false;
};

/// The suffix that ends a word becomes a space, at the last token nothing.
class WordEnd final : public Decoder {
 public:
  explicit WordEnd(const JsonView& config) : suffix_(config.string("suffix", "</w>")) {
    require(!suffix_.empty(), "{}: suffix is empty", config.path());
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::string_view space = i + 1 == tokens.size() ? "" : " ";
      for (size_t found = tokens[i].find(suffix_); found != std::string::npos;
           found = tokens[i].find(suffix_, found + space.size())) {
        tokens[i].replace(found, suffix_.size(), space);
      }
    }
  }

 private:
  std::string suffix_;
};

/// Tokens with the prefix go on with a word, the others begin one. `cleanup` takes out the spaces BERT's splitting put in, token
/// by token.
class WordPiece final : public Decoder {
 public:
  explicit WordPiece(const JsonView& config)
      : prefix_(config.string("prefix", "##")), cleanup_(config.boolean("cleanup", true)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) {
        if (token.starts_with(prefix_)) {
          token.erase(0, prefix_.size());
        } else {
          token.insert(0, " ");
        }
      }
      if (cleanup_) clean(token);
    }
  }

 private:
  static void clean(std::string& token) {
    static constexpr std::pair<std::string_view, std::string_view> kRules[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : kRules) {
      if (token.find(from) != std::string::npos) token = replace_all(token, from, to);
    }
  }

  std::string prefix_;
  bool cleanup_;
};

class Sequence final : public Decoder {
 public:
  explicit Sequence(const JsonView& config) {
    const Json& steps = config.value().value("decoders", Json());
    require(steps.is_array(), "{}: a Sequence needs an array `decoders`", config.path());
    for (size_t i = 0; i < steps.size(); ++i) {
      steps_.push_back(make_decoder(JsonView(steps[i], fmt::format("{}.decoders[{}]", config.path(), i))));
    }
  }
  void apply(std::vector<std::string>& tokens) const override {
    const size_t limit = growth_limit(total_bytes(tokens));
    for (const auto& step : steps_) {
      step->apply(tokens);
      require(total_bytes(tokens) <= limit, "decoder: the text grows beyond {} bytes", limit);
    }
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> steps_;
};

}  // namespace

std::unique_ptr<const Decoder> make_decoder(const JsonView& config) {
  const std::string type = config.string("type");
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Replace") return std::make_unique<Replace>(config);
  if (type == "Strip") return std::make_unique<Strip>(config);
  if (type == "Metaspace") return std::make_unique<Metaspace>(config);
  if (type == "BPEDecoder") return std::make_unique<WordEnd>(config);
  if (type == "WordPiece") return std::make_unique<WordPiece>(config);
  if (type == "Sequence") return std::make_unique<Sequence>(config);
  fail(
      "{}: decoder '{}' isn't supported (ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, BPEDecoder, WordPiece, "
      "Sequence are)",
      config.path(), type);
}

}  // namespace ocelli::text
