#include "ocelli/text/jinja_runtime.h"

namespace ocelli::text::jinja {

void Runtime::check_size(Int bytes) const {
  if (bytes > limits_.max_output_bytes) {
    fail("a string of {} bytes is over the limit of {} bytes (max_output_bytes)", bytes, limits_.max_output_bytes);
  }
}

Value Runtime::string(std::string text, bool markup) {
  check_size(static_cast<Int>(text.size()));
  charge_memory(text.size());
  return Value(Kind::kString, make<StringObject>(std::move(text), markup));
}

void Runtime::charge_memory(size_t bytes) {
  // All intermediate values of one rendering together; a conversation as long as the output limit makes a few of each.
  constexpr size_t kOutputs = 32;
  memory_ += bytes;
  if (memory_ > kOutputs * static_cast<size_t>(limits_.max_output_bytes) + (1U << 20)) {
    fail("the template's values take over {} MiB of memory ({} times max_output_bytes)", memory_ >> 20, kOutputs);
  }
}

void Runtime::fail_steps() const {
  fail("the template took more than {} steps (max_steps); it loops too long", limits_.max_steps);
}

void Runtime::fail_nesting() const {
  fail("values or calls nest deeper than {} levels", kMaxNesting);
}

}  // namespace ocelli::text::jinja
