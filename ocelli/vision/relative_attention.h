#pragma once

#include <ATen/core/Tensor.h>

#include "ocelli/image/image.h"

namespace ocelli::vision {

/// Attention within windows of rows x columns patches whose scores get decomposed relative positions:
///   score(i, j) = scale * q_i . k_j + q_i . R[row(i) - row(j)] + q_i . C[column(i) - column(j)].
/// Source: Li et al., arXiv:2112.01526, section 4.1 (MViTv2); SAM's image encoder, arXiv:2304.02643. The query is not scaled in
/// the two added terms, as in both. query, key, value: [G, rows * columns, E], G windows times heads. relative_rows: [2 rows - 1,
/// E], from -(rows - 1) to rows - 1; relative_columns likewise. Returns [G, rows * columns, E]. Scores exist for a few megabytes
/// of query rows at a time, in the backward pass too, which computes them again.
at::Tensor relative_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                              const at::Tensor& relative_rows, const at::Tensor& relative_columns, image::Grid window,
                              double scale);

}  // namespace ocelli::vision
