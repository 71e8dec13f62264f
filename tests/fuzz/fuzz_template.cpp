// Any bytes as a chat template render within their limits or end in an Error.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ocelli/base/error.h"
#include "ocelli/text/chat_template.h"

namespace {

const ocelli::OrderedJson& conversation() {
  static const auto variables = ocelli::OrderedJson::parse(R"({
    "messages": [{"role": "system", "content": "Be brief."},
                 {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What's this? \u00e9\ud83d\ude00"}]},
                 {"role": "assistant", "content": "A cat", "tool_calls": [{"function": {"name": "f", "arguments": {"x": [1, 2.5, null]}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": true}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "n": 3, "f": -2.5})");
  return variables;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ocelli::text;
  const TemplateLimits limits{.max_steps = 20'000, .max_output_bytes = 1 << 16, .max_depth = 32};
  try {
    const ChatTemplate chat_template(std::string_view(reinterpret_cast<const char*>(data), size), limits);
    if (static_cast<int64_t>(chat_template.render(conversation()).size()) > limits.max_output_bytes) std::abort();
  } catch (const ocelli::Error&) {
  }
  return 0;
}
