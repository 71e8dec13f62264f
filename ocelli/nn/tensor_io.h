#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>

#include "ocelli/base/tensor_file.h"

namespace ocelli::nn {

at::ScalarType to_torch(DType type);
/// Throws Error for a type safetensors has no name for.
DType from_torch(at::ScalarType type);

/// Positions, ids or rows as a tensor [n] int64 of its own.
at::Tensor index_tensor(std::span<const int64_t> values);

/// A tensor over the mapped bytes, which it holds alive; read-only by contract: frozen and inference parts alone.
at::Tensor mapped_tensor(const RawTensor& raw, const std::shared_ptr<const void>& owner);

/// What write_safetensors takes; the bytes belong to `tensor`, which must be contiguous, on the CPU and outlive the view.
RawTensor raw_view(const at::Tensor& tensor);

}  // namespace ocelli::nn
