#pragma once

#include <ATen/core/Tensor.h>

namespace ocelli::nn {

/// sum over rows of scale[r] * cross_entropy(hidden[r] W^T, labels[r]), without ever holding all logits: chunks of rows are
/// projected, turned into their gradient in place and multiplied back at once (as in Liger-Kernel, arXiv:2410.10989). hidden: [R,
/// D] (rows that are trained on, no others); weight: [V, D]; labels: [R] int64 in [0, V); scale: [R] in the loss's type. Returns
/// a scalar in fp32 (fp64 for fp64 inputs). CPU. `row_losses`, when given, receives the unscaled loss of each row; `bias`, when
/// defined, is the head's, [V].
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels,
                                const at::Tensor& scale, at::Tensor* row_losses = nullptr, const at::Tensor& bias = {});

}  // namespace ocelli::nn
