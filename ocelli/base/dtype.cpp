#include "ocelli/base/dtype.h"

#include <array>
#include <cassert>

namespace ocelli {
namespace {

struct Row {
  DType type;
  std::string_view name;
  int64_t size;
};

// In the order of DType, so that the value is the index.
constexpr std::array<Row, 15> kRows{{{DType::kBool, "BOOL", 1},
                                     {DType::kU8, "U8", 1},
                                     {DType::kI8, "I8", 1},
                                     {DType::kU16, "U16", 2},
                                     {DType::kI16, "I16", 2},
                                     {DType::kU32, "U32", 4},
                                     {DType::kI32, "I32", 4},
                                     {DType::kU64, "U64", 8},
                                     {DType::kI64, "I64", 8},
                                     {DType::kF16, "F16", 2},
                                     {DType::kBF16, "BF16", 2},
                                     {DType::kF32, "F32", 4},
                                     {DType::kF64, "F64", 8},
                                     {DType::kF8E4M3, "F8_E4M3", 1},
                                     {DType::kF8E5M2, "F8_E5M2", 1}}};

constexpr bool rows_follow_enum() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<size_t>(kRows[i].type) != i) return false;
  }
  return true;
}
static_assert(rows_follow_enum());

const Row& row(DType type) {
  assert(static_cast<size_t>(type) < kRows.size());
  return kRows[static_cast<size_t>(type)];
}

}  // namespace

int64_t size_of(DType type) {
  return row(type).size;
}

std::string_view name_of(DType type) {
  return row(type).name;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& entry : kRows) {
    if (entry.name == name) return entry.type;
  }
  return std::nullopt;
}

}  // namespace ocelli
