#include "ocelli/base/dtype.h"

#include <gtest/gtest.h>

namespace ocelli {
namespace {

TEST(DType, NamesAndSizesAreThoseOfSafetensors) {
  struct Expected {
    const char* name;
    DType type;
    int64_t size;
  };
  const Expected all[] = {{"BOOL", DType::kBool, 1}, {"U8", DType::kU8, 1},          {"I8", DType::kI8, 1},
                          {"U16", DType::kU16, 2},   {"I16", DType::kI16, 2},        {"U32", DType::kU32, 4},
                          {"I32", DType::kI32, 4},   {"U64", DType::kU64, 8},        {"I64", DType::kI64, 8},
                          {"F16", DType::kF16, 2},   {"BF16", DType::kBF16, 2},      {"F32", DType::kF32, 4},
                          {"F64", DType::kF64, 8},   {"F8_E4M3", DType::kF8E4M3, 1}, {"F8_E5M2", DType::kF8E5M2, 1}};
  for (const Expected& expected : all) {
    EXPECT_EQ(name_of(expected.type), expected.name);
    EXPECT_EQ(size_of(expected.type), expected.size);
    EXPECT_EQ(dtype_from_name(expected.name), expected.type);
  }
  EXPECT_FALSE(dtype_from_name("F33"));
  EXPECT_FALSE(dtype_from_name("f32"));
  EXPECT_FALSE(dtype_from_name(""));
}

}  // namespace
}  // namespace ocelli
