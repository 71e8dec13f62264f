#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace ocelli::nn {

/// Angles of rotary position embedding for a list of positions (Su et al., arXiv:2104.09864).
struct RopeTable {
  at::Tensor cosine;  ///< [T, E / 2], fp32 (fp64 when asked)
  at::Tensor sine;    ///< [T, E / 2]
};

/// positions: [T] int64. Angles are computed in fp32 as the references do (position * theta^(-2i/E)), in fp64 for `dtype` kDouble.
RopeTable rope_table(const at::Tensor& positions, int64_t head_width, double theta, at::ScalarType dtype);

/// Rotates x [T, heads, E] by its rows' angles, pairs (e, e + E/2). Differentiable.
at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table);

}  // namespace ocelli::nn
