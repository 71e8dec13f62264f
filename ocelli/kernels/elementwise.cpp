#include "ocelli/kernels/elementwise.h"

#include <type_traits>

#include "ocelli/base/error.h"
#include "ocelli/kernels/dispatch.h"
#include "ocelli/kernels/functions.h"

namespace ocelli::kernels {
namespace {

template <typename T>
const ElementwiseFunctions<T>& chosen() {
  if constexpr (std::is_same_v<T, double>) {
    return kElementwiseScalarDouble;
  } else {
#if defined(__x86_64__)
    if (running_isa() == Isa::kAvx512) return kElementwiseAvx512;
    if (running_isa() == Isa::kAvx2) return kElementwiseAvx2;
#endif
    return kElementwiseScalar;
  }
}

}  // namespace

template <typename T>
void rms_norm_forward(const T* x, const T* weight, int64_t rows, int64_t width, T eps, T* y, T* inverse_rms) {
  chosen<T>().rms_norm_forward(x, weight, rows, width, eps, y, inverse_rms);
}

template <typename T>
void rms_norm_backward(const T* x, const T* weight, const T* inverse_rms, const T* grad_y, int64_t rows, int64_t width, T* grad_x,
                       T* grad_weight) {
  chosen<T>().rms_norm_backward(x, weight, inverse_rms, grad_y, rows, width, grad_x, grad_weight);
}

template <typename T>
void swiglu_forward(const T* gate, const T* up, int64_t n, T* y) {
  chosen<T>().swiglu_forward(gate, up, n, y);
}

template <typename T>
void swiglu_backward(const T* gate, const T* up, const T* grad_y, int64_t n, T* grad_gate, T* grad_up) {
  chosen<T>().swiglu_backward(gate, up, grad_y, n, grad_gate, grad_up);
}

template <typename T>
void rope(T* x, int64_t rows, int64_t heads, int64_t head_width, int64_t row_stride, int64_t rotary_width, const T* cosine,
          const T* sine, bool inverse) {
  require(0 <= rotary_width && rotary_width <= head_width && rotary_width % 2 == 0,
          "rope: rotary width {} is no even number up to the head width {}", rotary_width, head_width);
  chosen<T>().rope(x, rows, heads, head_width, row_stride, rotary_width, cosine, sine, inverse);
}

template <typename T>
void cross_entropy_in_place(T* logits, const int64_t* labels, const T* row_scale, int64_t rows, int64_t width, T* loss) {
  for (int64_t row = 0; row < rows; ++row) {
    require(0 <= labels[row] && labels[row] < width, "cross_entropy: label {} of row {} does not lie in [0, {})", labels[row],
            row, width);
  }
  chosen<T>().cross_entropy_in_place(logits, labels, row_scale, rows, width, loss);
}

template <typename T>
void channel_sums(const T* x, int64_t rows, int64_t channels, double* sum, double* sum_of_squares) {
  chosen<T>().channel_sums(x, rows, channels, sum, sum_of_squares);
}

template <typename T>
void scale_shift_relu(const T* x, int64_t rows, int64_t channels, const T* scale, const T* shift, T* y) {
  chosen<T>().scale_shift_relu(x, rows, channels, scale, shift, y);
}

template <typename T>
void batch_norm_relu_backward_sums(const T* x, const T* y, const T* grad_y, int64_t rows, int64_t channels, const T* mean,
                                   double* sum_g, double* sum_gx) {
  chosen<T>().batch_norm_relu_backward_sums(x, y, grad_y, rows, channels, mean, sum_g, sum_gx);
}

template <typename T>
void batch_norm_relu_backward(const T* x, const T* y, const T* grad_y, int64_t rows, int64_t channels, const T* a, const T* b,
                              const T* c, T* grad_x) {
  chosen<T>().batch_norm_relu_backward(x, y, grad_y, rows, channels, a, b, c, grad_x);
}

template <typename T>
void adamw_step(const AdamW& options, int64_t n, T* parameter, const T* gradient, T* first_moment, T* second_moment) {
  require(options.step >= 1, "adamw: step {} is not positive; the first is 1", options.step);
  chosen<T>().adamw_step(options, n, parameter, gradient, first_moment, second_moment);
}

template <typename T>
double sum_of_squares(const T* x, int64_t n) {
  return chosen<T>().sum_of_squares(x, n);
}

#define OCELLI_INSTANTIATE(T)                                                                                                  \
  template void rms_norm_forward<T>(const T*, const T*, int64_t, int64_t, T, T*, T*);                                          \
  template void rms_norm_backward<T>(const T*, const T*, const T*, const T*, int64_t, int64_t, T*, T*);                        \
  template void swiglu_forward<T>(const T*, const T*, int64_t, T*);                                                            \
  template void swiglu_backward<T>(const T*, const T*, const T*, int64_t, T*, T*);                                             \
  template void rope<T>(T*, int64_t, int64_t, int64_t, int64_t, int64_t, const T*, const T*, bool);                            \
  template void cross_entropy_in_place<T>(T*, const int64_t*, const T*, int64_t, int64_t, T*);                                 \
  template void channel_sums<T>(const T*, int64_t, int64_t, double*, double*);                                                 \
  template void scale_shift_relu<T>(const T*, int64_t, int64_t, const T*, const T*, T*);                                       \
  template void batch_norm_relu_backward_sums<T>(const T*, const T*, const T*, int64_t, int64_t, const T*, double*, double*);  \
  template void batch_norm_relu_backward<T>(const T*, const T*, const T*, int64_t, int64_t, const T*, const T*, const T*, T*); \
  template void adamw_step<T>(const AdamW&, int64_t, T*, const T*, T*, T*);                                                    \
  template double sum_of_squares<T>(const T*, int64_t);
OCELLI_INSTANTIATE(float)
OCELLI_INSTANTIATE(double)
#undef OCELLI_INSTANTIATE

}  // namespace ocelli::kernels
