#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ocelli/base/json.h"

namespace ocelli::text {

/// Work a template may do before it is stopped with an Error.
struct TemplateLimits {
  int64_t max_steps = 2'000'000;
  int64_t max_output_bytes = 8 << 20;
  int max_depth = 64;
};

/// A chat template: the part of Jinja2 that published templates use, rendered as `transformers` renders it
/// (trim_blocks, lstrip_blocks, loop controls, `raise_exception`, `strftime_now`, `tojson`).
class ChatTemplate {
 public:
  /// Parses; throws Error naming line and column and the construct that isn't supported.
  explicit ChatTemplate(std::string_view source, const TemplateLimits& limits = {});
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// `variables`: an object with `messages`, `add_generation_prompt`, `bos_token`, `eos_token`, `tools`, …
  /// Throws Error on what the template raises, an undefined operation, or a spent limit.
  std::string render(const OrderedJson& variables) const;

  const std::string& source() const { return source_; }

 private:
  struct Program;
  std::string source_;
  TemplateLimits limits_;
  std::unique_ptr<const Program> program_;
};

}  // namespace ocelli::text
