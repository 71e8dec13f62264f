#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ocelli/base/pickle.h"

namespace ocelli::detail {

/// The functions a pickle may name; each stands for a rule in pickle.cpp, none is called.
enum class PickleFunction : uint32_t {
  kOrderedDict,
  kTensorV2,
  kTensorV3,
  kParameter,
  kParameterWithState,
  kSize,
  kEncode,
  kBytes
};

/// A global by module and name as a value: kFunction with PickleFunction as index, or kType or kStorageType with the index
/// that torch_type_at takes. Empty for every other global.
std::optional<PickleValue> find_global(std::string_view module, std::string_view name);

const TorchType& torch_type_at(uint32_t index);

/// The name in pickletools of an opcode that isn't read; "unknown" for a byte that is none.
std::string_view unread_opcode_name(uint8_t opcode);

}  // namespace ocelli::detail
