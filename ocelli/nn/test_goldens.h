#pragma once

#include <ATen/ATen.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/tensor_file.h"
#include "ocelli/nn/tensor_io.h"

namespace ocelli::test {

/// Folders of a system's golden cases, in order: of $OCELLI_GOLDENS, else of tests/parity/goldens and of the larger collection
/// beside the checkout where there is one.
inline std::vector<std::filesystem::path> golden_cases(std::string_view system) {
  const std::filesystem::path source = OCELLI_SOURCE_DIR;
  std::vector<std::filesystem::path> roots = {source / "tests/parity/goldens", source.parent_path() / "shared/goldens"};
  if (const char* chosen = std::getenv("OCELLI_GOLDENS")) roots = {chosen};
  std::vector<std::filesystem::path> cases;
  for (int number = 1; number < 10; ++number) {
    const std::string name = std::string(system) + "-" + std::to_string(number);
    for (const auto& root : roots) {
      if (!std::filesystem::exists(root / name / "expected.safetensors")) continue;
      cases.push_back(root / name);
      break;
    }
  }
  return cases;
}

/// A copy of one tensor of a file.
inline at::Tensor read(const TensorFile& file, std::string_view name) {
  return nn::mapped_tensor(file.at(name), file.owner()).clone();
}

}  // namespace ocelli::test
