#pragma once

#include "ocelli/data/dataset.h"

namespace ocelli::data::test {

/// Options that name a path alone.
inline DatasetOptions from(const std::filesystem::path& path) {
  DatasetOptions options;
  options.name = path.stem().string();
  options.path = path;
  return options;
}

inline WriterOptions into(const std::filesystem::path& path) {
  WriterOptions options;
  options.path = path;
  return options;
}

}  // namespace ocelli::data::test
