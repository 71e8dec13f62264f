// Any bytes, as a whole file or as the pickle in one, are either refused with an Error or read as tensors whose bytes are there.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "ocelli/base/error.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/base/torch_file_test_support.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void read(std::span<const std::byte> bytes) {
  try {
    const auto file = ocelli::parse_torch_file(bytes, "fuzz");
    uint64_t sum = 0;
    for (const auto& [name, tensor] : file->tensors()) {
      check(!name.empty() && tensor.numel() >= 0);
      check(static_cast<uint64_t>(tensor.numel()) * static_cast<uint64_t>(ocelli::size_of(tensor.dtype)) == tensor.data.size());
      // Many tensors may share their bytes; the ends show whether all is there.
      if (!tensor.data.empty()) sum += static_cast<uint64_t>(tensor.data.front()) + static_cast<uint64_t>(tensor.data.back());
    }
    volatile uint64_t used = sum;
    static_cast<void>(used);
  } catch (const ocelli::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read(std::as_bytes(std::span(data, size)));
  // Few changed archives are archives still, so pickles get one around them.
  if (size > 0 && data[0] == 0x80) {
    const std::string pickle(reinterpret_cast<const char*>(data), size);
    const std::string file = ocelli::test::make_torch_file(pickle, {std::string(48, '\1'), std::string(7, '\2')}).bytes;
    read(std::as_bytes(std::span(file)));
  }
  return 0;
}
