#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ocelli/text/pattern.h"

namespace ocelli::text {

/// Bytes a text of `size` bytes may grow to through a file's rules: a chain of Replace could double it at each link.
constexpr size_t growth_limit(size_t size) {
  return 64 * size + (1 << 20);
}

/// `text` with every `from` (not empty) as `to`, found from the left, what was put in not looked at again.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

/// `{"pattern": …, "content": …}`: every match becomes `content`, taken literally.
class Replacement {
 public:
  explicit Replacement(const JsonView& config);
  /// Throws Error when the text would grow beyond growth_limit.
  void apply(std::string& text) const;

 private:
  std::unique_ptr<const Pattern> pattern_;
  std::string content_;
};

}  // namespace ocelli::text
