// Any bytes as a tokenizer.model load, encode and decode, or end in an Error.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string_view>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/text/sentencepiece.h"

namespace {

constexpr std::string_view kText =
    "Hello  world, it's 2024!\n\t<s><image> caf\u00e9 e\u0301 \u4f60\u597d \U0001F600 aaaaaaaab \xff\xc3 <0x41> \u2581x \ufb01";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ocelli;
  try {
    const text::SentencePiece model(text::parse_sentencepiece({reinterpret_cast<const char*>(data), size}, "fuzz"), "fuzz");
    std::vector<int64_t> ids;
    model.encode(kText, ids);
    if (std::any_of(ids.begin(), ids.end(), [&](int64_t id) { return id < 0 || id >= model.size(); })) std::abort();
    model.decode(ids, true);
    ids.resize(static_cast<size_t>(std::min<int64_t>(model.size(), 512)));
    std::iota(ids.begin(), ids.end(), 0);
    model.decode(ids, false);
  } catch (const Error&) {
  }
  return 0;
}
