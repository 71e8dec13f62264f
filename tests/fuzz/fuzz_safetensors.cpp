// Any bytes are either refused with an Error or read as tensors that lie within them.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "ocelli/base/error.h"
#include "ocelli/base/tensor_file.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes = std::as_bytes(std::span(data, size));
  try {
    const auto file = ocelli::parse_safetensors(bytes, "fuzz");
    uint64_t sum = 0;
    for (const auto& [name, tensor] : file->tensors()) {
      check(tensor.numel() >= 0);
      check(static_cast<uint64_t>(tensor.numel()) * static_cast<uint64_t>(ocelli::size_of(tensor.dtype)) == tensor.data.size());
      for (const std::byte value : tensor.data) sum += static_cast<uint64_t>(value);
    }
    check(file->total_bytes() + 8 <= size);
    volatile uint64_t used = sum;
    static_cast<void>(used);
  } catch (const ocelli::Error&) {
  }
  return 0;
}
