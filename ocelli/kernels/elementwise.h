#pragma once

#include <cstdint>

/// Row-wise and element-wise loops of a decoder block, each one pass over memory. T: float or double; a caller in bf16 widens
/// first. Each function works on the rows or elements it is given: the caller splits the range over threads.
namespace ocelli::kernels {

/// y = x / sqrt(mean(x^2) + eps) * weight over rows of `width`; inverse_rms[row] is kept for the backward pass.
/// Zhang and Sennrich, arXiv:1910.07467.
template <typename T>
void rms_norm_forward(const T* x, const T* weight, int64_t rows, int64_t width, T eps, T* y, T* inverse_rms);
/// grad_x (written); grad_weight (added to, `width` values).
template <typename T>
void rms_norm_backward(const T* x, const T* weight, const T* inverse_rms, const T* grad_y, int64_t rows, int64_t width, T* grad_x,
                       T* grad_weight);

/// y = silu(gate) * up, elementwise over n. Shazeer, arXiv:2002.05202.
template <typename T>
void swiglu_forward(const T* gate, const T* up, int64_t n, T* y);
/// May write grad_gate and grad_up over gate and up.
template <typename T>
void swiglu_backward(const T* gate, const T* up, const T* grad_y, int64_t n, T* grad_gate, T* grad_up);

/// Rotates the first `rotary_width` of each head by position: pairs (e, e + rotary_width / 2), Su et al., arXiv:2104.09864, in
/// the half-split form of Llama. cosine and sine: [rows, rotary_width / 2]. In place over rows of `heads` heads of `head_width`,
/// rows `row_stride` apart. `inverse` rotates back (the backward pass).
template <typename T>
void rope(T* x, int64_t rows, int64_t heads, int64_t head_width, int64_t row_stride, int64_t rotary_width, const T* cosine,
          const T* sine, bool inverse);

/// Cross-entropy of rows of logits against labels: loss[row] = log(sum(exp(x))) - x[label] and, over the logits themselves,
/// their gradient (softmax - onehot) * row_scale[row]. Labels lie in [0, width).
template <typename T>
void cross_entropy_in_place(T* logits, const int64_t* labels, const T* row_scale, int64_t rows, int64_t width, T* loss);

/// Batch normalisation and ReLU over channels-last data [rows, channels] (Ioffe and Szegedy, arXiv:1502.03167), in the parts a
/// caller splits over threads. Sums are taken in double and added to what is there.
template <typename T>
void channel_sums(const T* x, int64_t rows, int64_t channels, double* sum, double* sum_of_squares);
/// y = max(0, x * scale + shift) per channel.
template <typename T>
void scale_shift_relu(const T* x, int64_t rows, int64_t channels, const T* scale, const T* shift, T* y);
/// With g = grad_y where y > 0 else 0: adds sum(g) and sum(g * (x - mean)) per channel.
template <typename T>
void batch_norm_relu_backward_sums(const T* x, const T* y, const T* grad_y, int64_t rows, int64_t channels, const T* mean,
                                   double* sum_g, double* sum_gx);
/// grad_x = a * g + b * x + c per channel (g as above).
template <typename T>
void batch_norm_relu_backward(const T* x, const T* y, const T* grad_y, int64_t rows, int64_t channels, const T* a, const T* b,
                              const T* c, T* grad_x);

/// One AdamW step over n elements (Loshchilov and Hutter, arXiv:1711.05101): decoupled decay, bias-corrected.
struct AdamW {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  int64_t step = 1;           ///< 1 for the first
  double gradient_scale = 1;  ///< multiplies every gradient (clipping, accumulation)
};
template <typename T>
void adamw_step(const AdamW& options, int64_t n, T* parameter, const T* gradient, T* first_moment, T* second_moment);

/// Sum of squares, in double.
template <typename T>
double sum_of_squares(const T* x, int64_t n);

}  // namespace ocelli::kernels
