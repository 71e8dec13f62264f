#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ocelli/base/dtype.h"

namespace ocelli::detail {

constexpr uint64_t kMaxPickleBytes = 100'000'000;
constexpr uint64_t kMaxPickleValues = 1U << 22;  ///< pushed onto the stack, all in all
constexpr uint64_t kMaxPickleMemo = 1U << 20;

/// An element type as torch names it.
struct TorchType {
  std::string_view name;       ///< "float32"
  std::string_view storage;    ///< "FloatStorage"; empty: stored untyped
  std::optional<DType> dtype;  ///< empty: known by name, tensors of it aren't read
};

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInteger,
  kLargeInteger,  ///< beyond 64 bits, not kept
  kReal,          ///< not kept
  kText,
  kBytes,
  kTuple,
  kList,
  kDict,         ///< dict or OrderedDict
  kFunction,     ///< a global that can be called
  kType,         ///< torch.float32, …
  kStorageType,  ///< torch.FloatStorage, …
  kStorage,
  kTensor
};

/// A value, or the number of the thing it is among its kind's in Pickle. Two values that name the same thing share it.
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  uint32_t index = 0;
  int64_t integer = 0;  ///< of kBool and kInteger
};

/// Elements in a file's entry `key`.
struct PickledStorage {
  const TorchType* type = nullptr;
  std::string_view key;
  int64_t numel = 0;  ///< of `type`; bytes when untyped
};

/// A strided view of a storage. Sizes and offset are non-negative; whether the view lies within the storage isn't checked here.
struct PickledTensor {
  uint32_t storage = 0;
  const TorchType* type = nullptr;
  int64_t offset = 0;    ///< in elements
  uint32_t sizes = 0;    ///< a sequence of integers
  uint32_t strides = 0;  ///< as many
};

/// What a pickle says. Texts point into its bytes. Lists and dicts may contain themselves.
struct Pickle {
  PickleValue root;
  std::vector<std::string_view> texts;              ///< of kText and kBytes; as they are, not checked to be UTF-8
  std::vector<std::vector<PickleValue>> sequences;  ///< of kTuple, kList; of kDict: key, value, key, value, …
  std::vector<PickledStorage> storages;
  std::vector<PickledTensor> tensors;
};

/// Reads a pickle of protocol 2 to 5 that holds tensors, numbers, texts, bytes, tuples, lists and dicts. Nothing is ever
/// called: the few names of functions that stand for these (torch._utils._rebuild_tensor_v2 and _v3, _rebuild_parameter,
/// _rebuild_parameter_with_state, collections.OrderedDict, torch.Size, _codecs.encode, bytes) are a closed list of rules, the
/// names of dtypes and storage classes another. Every other global, opcode and object is refused by name, wherever it stands.
/// Attributes of dicts and parameters (`_metadata`) are read and left out. Memory stays within a few hundred bytes for each of
/// at most kMaxPickleValues values. Throws Error naming `origin` and the byte.
/// Source: CPython's Lib/pickle.py and Lib/pickletools.py; torch/_utils.py and torch/_weights_only_unpickler.py of torch 2.13.
Pickle read_pickle(std::span<const std::byte> bytes, std::string_view origin);

/// "a list", "torch.Size", …: for messages.
std::string_view name_of(PickleKind kind);

}  // namespace ocelli::detail
