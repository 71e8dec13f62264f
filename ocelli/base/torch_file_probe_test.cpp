#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/tensor_file.h"

namespace ocelli {
namespace {

/// For tests/parity/test_torch_file.py: writes each `NAME.pth` of the folder $OCELLI_PROBE as `NAME.safetensors` into
/// $OCELLI_TEST_OUT, or the reason of its refusal as `NAME.error`.
TEST(TorchFileProbe, WritesSafetensors) {
  const char* folder = std::getenv("OCELLI_PROBE");
  const char* out = std::getenv("OCELLI_TEST_OUT");
  if (folder == nullptr || out == nullptr) GTEST_SKIP() << "OCELLI_PROBE and OCELLI_TEST_OUT aren't set";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".pth") continue;
    const std::filesystem::path to = std::filesystem::path(out) / entry.path().stem();
    try {
      write_safetensors(to.string() + ".safetensors", open_torch_file(entry.path())->tensors());
    } catch (const Error& error) {
      write_file_atomic(to.string() + ".error", error.what());
    }
  }
}

}  // namespace
}  // namespace ocelli
