#include "ocelli/base/pickle_globals.h"

#include <array>
#include <cstddef>

namespace ocelli::detail {
namespace {

constexpr std::array<TorchType, 22> kTypes{{{"float64", "DoubleStorage", DType::kF64},
                                            {"float32", "FloatStorage", DType::kF32},
                                            {"float16", "HalfStorage", DType::kF16},
                                            {"bfloat16", "BFloat16Storage", DType::kBF16},
                                            {"int64", "LongStorage", DType::kI64},
                                            {"int32", "IntStorage", DType::kI32},
                                            {"int16", "ShortStorage", DType::kI16},
                                            {"int8", "CharStorage", DType::kI8},
                                            {"uint8", "ByteStorage", DType::kU8},
                                            {"bool", "BoolStorage", DType::kBool},
                                            {"uint16", "", DType::kU16},
                                            {"uint32", "", DType::kU32},
                                            {"uint64", "", DType::kU64},
                                            {"float8_e4m3fn", "", DType::kF8E4M3},
                                            {"float8_e5m2", "", DType::kF8E5M2},
                                            {"float8_e4m3fnuz", "", std::nullopt},
                                            {"float8_e5m2fnuz", "", std::nullopt},
                                            {"float8_e8m0fnu", "", std::nullopt},
                                            {"float4_e2m1fn_x2", "", std::nullopt},
                                            {"complex32", "", std::nullopt},
                                            {"complex64", "ComplexFloatStorage", std::nullopt},
                                            {"complex128", "ComplexDoubleStorage", std::nullopt}}};

/// What torch.storage.UntypedStorage holds.
constexpr TorchType kUntyped{"uint8", "UntypedStorage", DType::kU8};

struct Global {
  std::string_view module;
  std::string_view name;
  PickleFunction function;
};

/// Protocol 2 is written with Python 2's module names, later ones with Python 3's.
constexpr std::array<Global, 9> kFunctions{
    {{"collections", "OrderedDict", PickleFunction::kOrderedDict},
     {"torch._utils", "_rebuild_tensor_v2", PickleFunction::kTensorV2},
     {"torch._utils", "_rebuild_tensor_v3", PickleFunction::kTensorV3},
     {"torch._utils", "_rebuild_parameter", PickleFunction::kParameter},
     {"torch._utils", "_rebuild_parameter_with_state", PickleFunction::kParameterWithState},
     {"torch", "Size", PickleFunction::kSize},
     {"_codecs", "encode", PickleFunction::kEncode},
     {"__builtin__", "bytes", PickleFunction::kBytes},
     {"builtins", "bytes", PickleFunction::kBytes}}};

struct Opcode {
  uint8_t value;
  std::string_view name;
};

constexpr std::array<Opcode, 21> kUnreadOpcodes{{{'I', "INT"},         {'L', "LONG"},         {'F', "FLOAT"},
                                                 {'S', "STRING"},      {'V', "UNICODE"},      {'g', "GET"},
                                                 {'p', "PUT"},         {'P', "PERSID"},       {'i', "INST"},
                                                 {'o', "OBJ"},         {0x81, "NEWOBJ"},      {0x92, "NEWOBJ_EX"},
                                                 {0x82, "EXT1"},       {0x83, "EXT2"},        {0x84, "EXT4"},
                                                 {0x8f, "EMPTY_SET"},  {0x90, "ADDITEMS"},    {0x91, "FROZENSET"},
                                                 {0x96, "BYTEARRAY8"}, {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}}};

}  // namespace

std::optional<PickleValue> find_global(std::string_view module, std::string_view name) {
  for (const Global& global : kFunctions) {
    if (global.module == module && global.name == name) {
      return PickleValue{PickleKind::kFunction, static_cast<uint32_t>(global.function)};
    }
  }
  if (module == "torch.storage" && name == kUntyped.storage) {
    return PickleValue{PickleKind::kStorageType, static_cast<uint32_t>(kTypes.size())};
  }
  if (module != "torch" || name.empty()) return std::nullopt;
  for (uint32_t i = 0; i < kTypes.size(); ++i) {
    if (name == kTypes[i].name) return PickleValue{PickleKind::kType, i};
    if (name == kTypes[i].storage) return PickleValue{PickleKind::kStorageType, i};
  }
  return std::nullopt;
}

const TorchType& torch_type_at(uint32_t index) {
  return index < kTypes.size() ? kTypes[index] : kUntyped;
}

std::string_view unread_opcode_name(uint8_t opcode) {
  for (const Opcode& row : kUnreadOpcodes) {
    if (row.value == opcode) return row.name;
  }
  return "unknown";
}

std::string_view name_of(PickleKind kind) {
  constexpr std::array<std::string_view, 15> kNames{
      "None",   "a bool",     "an integer", "an integer beyond 64 bits", "a float",   "a text",  "bytes", "a tuple", "a list",
      "a dict", "a function", "a dtype",    "a storage class",           "a storage", "a tensor"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace ocelli::detail
