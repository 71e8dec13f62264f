#include "ocelli/nn/tensor_io.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ocelli/base/error.h"

namespace ocelli::nn {
namespace {

constexpr std::array<std::pair<DType, at::ScalarType>, 15> kTypes = {{{DType::kBool, at::kBool},
                                                                      {DType::kU8, at::kByte},
                                                                      {DType::kI8, at::kChar},
                                                                      {DType::kU16, at::ScalarType::UInt16},
                                                                      {DType::kI16, at::kShort},
                                                                      {DType::kU32, at::ScalarType::UInt32},
                                                                      {DType::kI32, at::kInt},
                                                                      {DType::kU64, at::ScalarType::UInt64},
                                                                      {DType::kI64, at::kLong},
                                                                      {DType::kF16, at::kHalf},
                                                                      {DType::kBF16, at::kBFloat16},
                                                                      {DType::kF32, at::kFloat},
                                                                      {DType::kF64, at::kDouble},
                                                                      {DType::kF8E4M3, at::ScalarType::Float8_e4m3fn},
                                                                      {DType::kF8E5M2, at::ScalarType::Float8_e5m2}}};

}  // namespace

at::ScalarType to_torch(DType type) {
  for (const auto& [ours, torch_type] : kTypes) {
    if (ours == type) return torch_type;
  }
  fail("tensor type {} has no counterpart in LibTorch", name_of(type));
}

DType from_torch(at::ScalarType type) {
  for (const auto& [ours, torch_type] : kTypes) {
    if (torch_type == type) return ours;
  }
  fail("tensor type {} can't be stored in safetensors", c10::toString(type));
}

at::Tensor index_tensor(std::span<const int64_t> values) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.data_ptr<int64_t>());
  return out;
}

at::Tensor mapped_tensor(const RawTensor& raw, const std::shared_ptr<const void>& owner) {
  const auto options = at::TensorOptions().dtype(to_torch(raw.dtype));
  if (raw.data.empty()) return at::empty(raw.shape, options);
  // from_blob wants a mutable pointer; the pages are read-only, so a write would fault rather than corrupt.
  void* data = const_cast<std::byte*>(raw.data.data());
  return at::from_blob(
      data, raw.shape, [owner](void*) {}, options);
}

RawTensor raw_view(const at::Tensor& tensor) {
  require(tensor.is_cpu() && tensor.is_contiguous(), "a tensor to be written must be contiguous and on the CPU");
  RawTensor raw;
  raw.dtype = from_torch(tensor.scalar_type());
  raw.shape = tensor.sizes().vec();
  raw.data = {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<size_t>(tensor.nbytes())};
  return raw;
}

}  // namespace ocelli::nn
