#pragma once

#include <ATen/core/Tensor.h>

#include "ocelli/base/cost.h"
#include "ocelli/nn/attention_layout.h"

namespace ocelli::nn {

/// Scaled dot-product attention over a layout, as one autograd function.
/// query: [T, H, E]; key, value: [S, K, E] with H a multiple of K (query head h reads key head h / (H/K)). Returns [T, H, E].
/// Softmax in fp32 (fp64 for fp64 inputs). A row that sees no key gets zeros.
/// On the CPU, uniform layouts go to ATen's flash attention in one call and all others to `kernels::attention_*`; on other
/// devices each block of query rows goes through ATen's products (`attention_reference`). The layout is checked
/// (`AttentionLayout::validate`) by the caller that builds it, not here.
at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const AttentionLayout& layout,
                     double scale);

/// The definition, in plain ATen operations: block by block, dense scores of the block's rows against the keys it sees.
/// For devices without a kernel, and for tests.
at::Tensor attention_reference(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                               const AttentionLayout& layout, double scale);

/// Scores and weighted sum over the layout's pairs, for `heads` query heads.
Cost attention_cost(int64_t pairs, int64_t rows, int64_t heads, int64_t head_width, const Workload& work);

}  // namespace ocelli::nn
