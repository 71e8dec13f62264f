#pragma once

#include <cstdint>
#include <span>

#include "ocelli/kernels/attention.h"
#include "ocelli/kernels/elementwise.h"

namespace ocelli::kernels {

/// One instruction set's attention loops; arguments as in attention.h, checked by the front.
template <typename T>
struct AttentionFunctions {
  void (*forward)(const AttentionProblem<T>&, std::span<const QueryBlock>, int64_t, int64_t, HeadArray<T>, T*, int64_t);
  void (*backward)(const AttentionProblem<T>&, std::span<const QueryBlock>, int64_t, int64_t, HeadArray<const T>, const T*,
                   const T*, int64_t, HeadArray<T>, HeadArray<T>, HeadArray<T>);
};

/// One instruction set's elementwise loops, in the order of elementwise.h.
template <typename T>
struct ElementwiseFunctions {
  void (*rms_norm_forward)(const T*, const T*, int64_t, int64_t, T, T*, T*);
  void (*rms_norm_backward)(const T*, const T*, const T*, const T*, int64_t, int64_t, T*, T*);
  void (*swiglu_forward)(const T*, const T*, int64_t, T*);
  void (*swiglu_backward)(const T*, const T*, const T*, int64_t, T*, T*);
  void (*rope)(T*, int64_t, int64_t, int64_t, int64_t, int64_t, const T*, const T*, bool);
  void (*cross_entropy_in_place)(T*, const int64_t*, const T*, int64_t, int64_t, T*);
  void (*channel_sums)(const T*, int64_t, int64_t, double*, double*);
  void (*scale_shift_relu)(const T*, int64_t, int64_t, const T*, const T*, T*);
  void (*batch_norm_relu_backward_sums)(const T*, const T*, const T*, int64_t, int64_t, const T*, double*, double*);
  void (*batch_norm_relu_backward)(const T*, const T*, const T*, int64_t, int64_t, const T*, const T*, const T*, T*);
  void (*adamw_step)(const AdamW&, int64_t, T*, const T*, T*, T*);
  double (*sum_of_squares)(const T*, int64_t);
};

// The definition, for float and double; and, on x86, float alone.
extern const AttentionFunctions<float> kAttentionScalar;
extern const AttentionFunctions<double> kAttentionScalarDouble;
extern const AttentionFunctions<float> kAttentionAvx2;
extern const AttentionFunctions<float> kAttentionAvx512;
extern const ElementwiseFunctions<float> kElementwiseScalar;
extern const ElementwiseFunctions<double> kElementwiseScalarDouble;
extern const ElementwiseFunctions<float> kElementwiseAvx2;
extern const ElementwiseFunctions<float> kElementwiseAvx512;

}  // namespace ocelli::kernels
