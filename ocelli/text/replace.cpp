#include "ocelli/text/replace.h"

#include <utility>
#include <vector>

#include "ocelli/base/error.h"

namespace ocelli::text {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  size_t covered = 0;
  for (size_t found = text.find(from); found != std::string_view::npos; found = text.find(from, covered)) {
    out += text.substr(covered, found - covered);
    out += to;
    covered = found + from.size();
  }
  out += text.substr(covered);
  return out;
}

Replacement::Replacement(const JsonView& config)
    : pattern_(make_pattern(config.object("pattern"))), content_(config.string("content")) {}

void Replacement::apply(std::string& text) const {
  std::vector<Span> spans;
  pattern_->cover(text, spans);
  const size_t limit = growth_limit(text.size());
  std::string out;
  out.reserve(text.size());
  for (const Span& span : spans) {
    if (span.matched) {
      out += content_;
    } else {
      out.append(text, span.begin, span.end - span.begin);
    }
    require(out.size() <= limit, "Replace: the text grows beyond {} bytes", limit);
  }
  text = std::move(out);
}

}  // namespace ocelli::text
