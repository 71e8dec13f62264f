#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace ocelli::nn {

/// Which angle belongs to which position (Su et al., arXiv:2104.09864), by the values of transformers' `rope_parameters`.
struct RopeConfig {
  double theta = 10000.0;
  int64_t rotary_width = 0;  ///< of each head, even; the rest of the head isn't rotated (Phi). 0: none
  enum class Scaling {
    kNone,
    kLinear,    ///< positions divided by `factor`
    kDynamic,   ///< beyond `original_length` the base grows with the sequence: theta * (factor * L / original - factor +
                ///< 1)^(R/(R-2))
    kQwen,      ///< first Qwen: theta * alpha^(R/(R-2)), alpha = 2^ceil(log2(L / original) + 1) - 1, fixed by the prompt's length
    kLlama3,    ///< frequencies divided by `factor` below, kept above, blended between two wavelengths
    kLongRope,  ///< frequencies divided by `short_factor`, or `long_factor` beyond `original_length` (Phi-3)
  } scaling = Scaling::kNone;
  double factor = 1.0;
  int64_t original_length = 0;
  double low_frequency_factor = 1.0, high_frequency_factor = 4.0;
  std::vector<double> short_factor = {}, long_factor = {};  ///< [rotary_width / 2]
  double attention_factor = 1.0;                            ///< multiplies cosine and sine
  /// M-RoPE: how many of the rotary_width / 2 frequencies follow the position's row 0 (time), 1 (height), 2 (width). Empty: one
  /// row.
  std::vector<int64_t> mrope_section = {};
  bool mrope_interleaved = false;  ///< frequencies take the rows in turn (Qwen3-VL) instead of in three runs
};

/// Angles of a list of positions.
struct RopeTable {
  at::Tensor cosine;  ///< [T, R / 2], fp32 (fp64 when asked)
  at::Tensor sine;    ///< [T, R / 2]
};

/// Cosine and sine of angles, in loops of our own on the CPU: LibTorch hands at::cos and at::sin to MKL's vector functions, whose
/// second thread now and then answers with errors of 1e-4 (seen with torch 2.13 on a CPU with AVX-512; never with MKL held to
/// AVX2).
RopeTable turned(const at::Tensor& angles);

/// positions: [T] int64, or [3, T] with mrope_section. `length`: of the whole sequence, for scalings that ask; 0: one more than
/// the largest position. Angles are computed in fp32 as the references do, in fp64 for `dtype` kDouble.
RopeTable rope_table(const at::Tensor& positions, const RopeConfig& config, int64_t length, at::ScalarType dtype);

/// Whether rows turned in a sequence of `length` rows are turned alike in one of `other`: not once a scaling that follows the
/// length asks for other frequencies there.
bool same_angles(const RopeConfig& config, int64_t length, int64_t other);

/// Rotates the first R of each head of x [T, heads, E] by its rows' angles, pairs (e, e + R/2). Differentiable.
at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table);

/// The same with pairs (2e, 2e + 1), as EVA-02 and GPT-J rotate. Differentiable.
at::Tensor apply_rope_interleaved(const at::Tensor& x, const RopeTable& table);

}  // namespace ocelli::nn
