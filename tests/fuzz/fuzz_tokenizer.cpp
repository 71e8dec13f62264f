// Any bytes as a tokenizer.json load, encode and decode, or end in an Error.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ocelli/base/error.h"
#include "ocelli/base/log.h"
#include "ocelli/text/tokenizer.h"

namespace {

constexpr std::string_view kText =
    "Hello  world, it's 2024!\n\t<s><image> caf\u00e9 e\u0301 \u4f60\u597d \U0001F600 aaaaaaaab \xff\xc3 <0x41> \u2581x";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ocelli;
  log::set_level(log::Level::kOff);
  try {
    const auto tokenizer = text::make_tokenizer(parse_json({reinterpret_cast<const char*>(data), size}, "fuzz"), "fuzz");
    for (const bool special : {true, false}) {
      const auto ids = tokenizer->encode(kText, special);
      if (std::any_of(ids.begin(), ids.end(), [&](int64_t id) { return id < 0 || id >= tokenizer->vocab_size(); })) std::abort();
      tokenizer->decode(ids, special);
    }
  } catch (const Error&) {
  }
  return 0;
}
