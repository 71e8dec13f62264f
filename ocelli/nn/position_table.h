#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "ocelli/image/image.h"

namespace ocelli::nn {

/// The two-dimensional sine and cosine table of masked autoencoders: row-major cells of the grid, [rows * columns, width] in
/// fp32. Cell (r, c) holds sin(c w), cos(c w), sin(r w), cos(r w), each width / 4 wide with w_k = 10000^(-k / (width / 4)): the
/// column first. Source: facebookresearch/mae, util/pos_embed.py, as copied by Qwen-VL and MiniCPM-V. Throws Error unless `width`
/// is a multiple of 4.
at::Tensor sin_cos_table(image::Grid grid, int64_t width);

/// A table of positions [from.count(), D], row-major, resampled to another grid by ATen's bicubic filter (half-pixel centres).
/// Plain: a = -0.75, four taps (torch's interpolate); antialiased: a = -0.5 and a support that grows with the ratio (open_clip,
/// timm). Computed in fp32 (fp64 for fp64 tables) and returned in the table's type; the table itself when the grids are equal.
/// Differentiable. Throws Error when the table's rows do not fill `from`.
at::Tensor resize_position_table(const at::Tensor& table, image::Grid from, image::Grid to, bool antialias);

/// The grid of a table of `rows` positions whose grid is square. Throws Error naming `what` when there is none.
image::Grid square_grid(int64_t rows, const char* what);

}  // namespace ocelli::nn
