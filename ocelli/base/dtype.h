#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ocelli {

/// Element types of stored tensors, named as in safetensors.
enum class DType : uint8_t { kBool, kU8, kI8, kU16, kI16, kU32, kI32, kU64, kI64, kF16, kBF16, kF32, kF64, kF8E4M3, kF8E5M2 };

/// Bytes of one element.
int64_t size_of(DType type);
/// The safetensors name: "F32", "BF16", "I64", …
std::string_view name_of(DType type);
/// Empty for a name that isn't known.
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace ocelli
