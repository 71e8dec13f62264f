#include "ocelli/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdint>

#include "ocelli/base/error.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

// Per start position; the published patterns need a few steps a character.
constexpr uint32_t kMatchLimit = 1'000'000;
constexpr uint32_t kDepthLimit = 100'000;
constexpr uint32_t kHeapLimitKib = 64 * 1024;
constexpr size_t kMaxPatternBytes = 16 * 1024;

// \w and \s of Oniguruma, spelled out: PCRE2's \w leaves out marks, its \s takes in U+180E.
constexpr std::string_view kWordClass =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\x{24B6}-\\x{24E9}";
constexpr std::string_view kSpaceClass = "\\x{9}-\\x{D}\\x{85}\\p{Z}";

/// The pattern in PCRE2's spelling.
std::string translate(const std::string& pattern, const std::string& where) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      const bool negated = next == 'W' || next == 'S';
      require(next != 'h' && next != 'H', "{}: regex '{}' uses \\{}, which isn't supported (write the class out)", where, pattern,
              next);
      if (next == 'w' || next == 's' || (negated && !in_class)) {
        const std::string_view members = next == 'w' || next == 'W' ? kWordClass : kSpaceClass;
        if (in_class) {
          out += members;
        } else {
          out += negated ? "[^" : "[";
          out += members;
          out += ']';
        }
      } else {
        out += c;
        out += next;
      }
      continue;
    }
    if (c == '[') {
      require(!in_class || (i + 1 < pattern.size() && pattern[i + 1] == ':'),
              "{}: regex '{}' nests character classes, which isn't supported (write one class)", where, pattern);
      if (in_class) {  // [:name:] is copied whole
        const size_t close = pattern.find(":]", i);
        require(close != std::string::npos, "{}: regex '{}' has an open [: in a class", where, pattern);
        out += pattern.substr(i, close + 2 - i);
        i = close + 1;
        continue;
      }
      in_class = true;
      out += c;
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') out += pattern[++i];
      continue;
    }
    if (c == ']') in_class = false;
    require(!in_class || c != '&' || i + 1 >= pattern.size() || pattern[i + 1] != '&',
            "{}: regex '{}' intersects character classes (&&), which isn't supported", where, pattern);
    out += c;
  }
  return out;
}

struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

}  // namespace

struct Regex::Compiled {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  ~Compiled() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

Regex::Regex(const std::string& pattern, const std::string& where) : pattern_(pattern), where_(where) {
  require(pattern.size() <= kMaxPatternBytes, "{}: regex has {} bytes, at most {} are allowed", where, pattern.size(),
          kMaxPatternBytes);
  const std::string translated = translate(pattern, where);
  auto compiled = std::make_unique<Compiled>();
  int code = 0;
  PCRE2_SIZE offset = 0;
  // Backslash-C would cut code points, so it is off.
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  compiled->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), options, &code, &offset, nullptr);
  if (compiled->code == nullptr) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(code, message.data(), message.size());
    fail("{}: regex '{}' doesn't compile: {}", where, pattern, reinterpret_cast<const char*>(message.data()));
  }
  // Where the machine has no JIT the interpreter runs instead.
  pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE);
  compiled->context = pcre2_match_context_create(nullptr);
  require(compiled->context != nullptr, "{}: no memory for a regex", where);
  pcre2_set_match_limit(compiled->context, kMatchLimit);
  pcre2_set_depth_limit(compiled->context, kDepthLimit);
  pcre2_set_heap_limit(compiled->context, kHeapLimitKib);
  compiled_ = std::move(compiled);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

void Regex::cover(std::string_view text, std::vector<Span>& spans) const {
  if (text.empty()) return;
  const std::unique_ptr<pcre2_match_data, FreeMatch> data(pcre2_match_data_create(1, nullptr));
  require(data != nullptr, "{}: no memory for a regex match", where_);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t from = 0;     // where the search goes on
  size_t covered = 0;  // end of the last match
  bool any = false;
  uint32_t options = 0;  // the first call checks the text's UTF-8, later ones needn't
  while (from <= text.size()) {
    int rc = pcre2_match(compiled_->code, subject, text.size(), from, options, data.get(), compiled_->context);
    // The JIT's own stack is 32 KiB; the interpreter uses the heap, up to the limit.
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
      rc = pcre2_match(compiled_->code, subject, text.size(), from, options | PCRE2_NO_JIT, data.get(), compiled_->context);
    }
    options = PCRE2_NO_UTF_CHECK;
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc < 0) {
      std::array<PCRE2_UCHAR, 256> message{};
      pcre2_get_error_message(rc, message.data(), message.size());
      fail("{}: regex '{}' stopped: {}", where_, pattern_, reinterpret_cast<const char*>(message.data()));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    const size_t begin = ends[0], end = ends[1];
    // \K inside a lookahead can report an end before the start, or a start before the last match.
    require(begin <= end && begin >= covered, "{}: regex '{}' matches backwards, which isn't supported", where_, pattern_);
    if (begin == end && any && end == covered) {  // an empty match directly after a match counts for nothing
      from += from < text.size() ? code_point_at(text, from).bytes : 1;
      continue;
    }
    if (begin > covered) spans.push_back({covered, begin, false});
    spans.push_back({begin, end, true});
    covered = from = end;
    any = true;
  }
  if (covered < text.size()) spans.push_back({covered, text.size(), false});
}

}  // namespace ocelli::text
