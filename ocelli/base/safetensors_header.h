#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/dtype.h"

namespace ocelli::detail {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  ///< the reference implementation's limit
constexpr size_t kMaxTensors = 65'536;
constexpr size_t kMaxMetadataEntries = 65'536;
constexpr size_t kMaxRank = 64;

/// One entry of a safetensors header. Offsets count from the start of the data area.
struct HeaderEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<HeaderEntry> entries;  ///< in the order of the text
  std::map<std::string, std::string> metadata;
};

/// Reads the JSON text of a header: names given once, known dtypes, shapes and offsets that are non-negative integers,
/// counts and ranks within the limits above. Sizes are not compared with the data here. Throws Error naming `origin`.
SafetensorsHeader parse_header(std::string_view text, std::string_view origin);

/// Bytes a tensor takes; false when the product of the non-zero dimensions or the bytes don't fit into int64.
bool bytes_of(DType dtype, const std::vector<int64_t>& shape, uint64_t& bytes);

/// A name for a message: quoted, escaped, of bounded length.
std::string quoted_name(std::string_view name);

}  // namespace ocelli::detail
