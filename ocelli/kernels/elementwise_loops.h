#pragma once

#include "ocelli/kernels/functions.h"
#include "ocelli/kernels/vec.h"

namespace ocelli::kernels {
namespace {

/// Sums in double of vectors of T.
template <typename T>
struct WideSum {
  double lane[kLanes<T>] = {};
  void add(Vec<T> v) {
    for (int i = 0; i < kLanes<T>; ++i) lane[i] += static_cast<double>(v[i]);
  }
  void add_product(Vec<T> a, Vec<T> b) {
    for (int i = 0; i < kLanes<T>; ++i) lane[i] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  double total() const {
    double sum = 0;
    for (int i = 0; i < kLanes<T>; ++i) sum += lane[i];
    return sum;
  }
};

template <typename T>
void rms_norm_forward_rows(const T* x, const T* weight, int64_t rows, int64_t width, T eps, T* y, T* inverse_rms) {
  for (int64_t row = 0; row < rows; ++row, x += width, y += width) {
    Vec<T> squares{};
    over<T>(width, [&](int64_t i, auto lanes) {
      const Vec<T> v = lanes.load(x + i);
      squares += v * v;
    });
    const T inverse = T{1} / std::sqrt(sum_of<T>(squares) / static_cast<T>(width) + eps);
    over<T>(width,
            [&](int64_t i, auto lanes) { lanes.store(y + i, lanes.load(x + i) * broadcast(inverse) * lanes.load(weight + i)); });
    inverse_rms[row] = inverse;
  }
}

template <typename T>
void rms_norm_backward_rows(const T* x, const T* weight, const T* inverse_rms, const T* grad_y, int64_t rows, int64_t width,
                            T* grad_x, T* grad_weight) {
  for (int64_t row = 0; row < rows; ++row, x += width, grad_y += width, grad_x += width) {
    const T inverse = inverse_rms[row];
    Vec<T> products{};
    over<T>(width, [&](int64_t i, auto lanes) {
      const Vec<T> gx = lanes.load(grad_y + i) * lanes.load(x + i);
      lanes.store(grad_weight + i, lanes.load(grad_weight + i) + gx * broadcast(inverse));
      products += gx * lanes.load(weight + i);
    });
    const T slope = sum_of<T>(products) / static_cast<T>(width) * inverse * inverse * inverse;
    over<T>(width, [&](int64_t i, auto lanes) {
      const Vec<T> through = lanes.load(grad_y + i) * lanes.load(weight + i) * broadcast(inverse);
      lanes.store(grad_x + i, through - lanes.load(x + i) * broadcast(slope));
    });
  }
}

template <typename T>
void swiglu_forward_loop(const T* gate, const T* up, int64_t n, T* y) {
  over<T>(n, [&](int64_t i, auto lanes) {
    const Vec<T> g = lanes.load(gate + i);
    lanes.store(y + i, g / (exponential(-g) + broadcast(T{1})) * lanes.load(up + i));
  });
}

template <typename T>
void swiglu_backward_loop(const T* gate, const T* up, const T* grad_y, int64_t n, T* grad_gate, T* grad_up) {
  over<T>(n, [&](int64_t i, auto lanes) {
    const Vec<T> one = broadcast(T{1});
    const Vec<T> g = lanes.load(gate + i), u = lanes.load(up + i), gy = lanes.load(grad_y + i);
    const Vec<T> sigmoid = one / (exponential(-g) + one);
    lanes.store(grad_up + i, gy * g * sigmoid);
    lanes.store(grad_gate + i, gy * u * sigmoid * (one + g * (one - sigmoid)));
  });
}

template <typename T>
void rope_rows(T* x, int64_t rows, int64_t heads, int64_t head_width, int64_t row_stride, int64_t rotary_width, const T* cosine,
               const T* sine, bool inverse) {
  const int64_t half = rotary_width / 2;
  const Vec<T> sign = broadcast(inverse ? T{-1} : T{1});
  for (int64_t row = 0; row < rows; ++row) {
    const T* const c = cosine + row * half;
    const T* const s = sine + row * half;
    for (int64_t head = 0; head < heads; ++head) {
      T* const first = x + row * row_stride + head * head_width;
      T* const second = first + half;
      over<T>(half, [&](int64_t i, auto lanes) {
        const Vec<T> a = lanes.load(first + i), b = lanes.load(second + i);
        const Vec<T> cos = lanes.load(c + i), sin = lanes.load(s + i) * sign;
        lanes.store(first + i, a * cos - b * sin);
        lanes.store(second + i, b * cos + a * sin);
      });
    }
  }
}

/// Columns whose exponentials are added in T before they join a sum in double.
constexpr int64_t kSumChunk = 256;

template <typename T>
void cross_entropy_rows(T* logits, const int64_t* labels, const T* row_scale, int64_t rows, int64_t width, T* loss) {
  for (int64_t row = 0; row < rows; ++row, logits += width) {
    Vec<T> tops = broadcast(-std::numeric_limits<T>::infinity());
    T largest = -std::numeric_limits<T>::infinity();
    const int64_t whole = width / kLanes<T> * kLanes<T>;
    for (int64_t i = 0; i < whole; i += kLanes<T>) tops = larger(tops, load(logits + i));
    for (int64_t i = whole; i < width; ++i) largest = larger(largest, logits[i]);
    largest = larger(largest, largest_of<T>(tops));
    const T at_label = logits[labels[row]];

    double sum = 0;
    for (int64_t begin = 0; begin < width; begin += kSumChunk) {
      const int64_t n = begin + kSumChunk < width ? kSumChunk : width - begin;
      T* const part = logits + begin;
      Vec<T> sums{};
      T rest = 0;
      over<T>(n, [&](int64_t i, auto lanes) {
        const Vec<T> e = exponential(lanes.load(part + i) - broadcast(largest));
        lanes.store(part + i, e);
        if constexpr (std::is_same_v<decltype(lanes), AllLanes<T>>) {
          sums += e;
        } else {
          for (int64_t j = 0; j < lanes.count; ++j) rest += e[j];
        }
      });
      sum += static_cast<double>(sum_of<T>(sums)) + static_cast<double>(rest);
    }
    loss[row] = static_cast<T>(std::log(sum) + (static_cast<double>(largest) - static_cast<double>(at_label)));

    const Vec<T> factor = broadcast(static_cast<T>(static_cast<double>(row_scale[row]) / sum));
    over<T>(width, [&](int64_t i, auto lanes) { lanes.store(logits + i, lanes.load(logits + i) * factor); });
    logits[labels[row]] -= row_scale[row];
  }
}

/// Calls f(channel, lanes, begin, end): a vector of channels at a time over slices of rows, so that a slice stays in cache for
/// the next.
template <typename T, typename F>
void over_channels(int64_t rows, int64_t channels, const F& f) {
  constexpr int64_t kSlice = 128;
  for (int64_t begin = 0; begin < rows; begin += kSlice) {
    const int64_t end = begin + kSlice < rows ? begin + kSlice : rows;
    over<T>(channels, [&](int64_t c, auto lanes) { f(c, lanes, begin, end); });
  }
}

template <typename T>
void add_lanes(const WideSum<T>& sum, int64_t n, double* to) {
  for (int64_t i = 0; i < n; ++i) to[i] += sum.lane[i];
}

template <typename T>
void channel_sums_rows(const T* x, int64_t rows, int64_t channels, double* sum, double* sum_of_squares) {
  over_channels<T>(rows, channels, [&](int64_t c, auto lanes, int64_t begin, int64_t end) {
    WideSum<T> plain, squares;
    for (int64_t row = begin; row < end; ++row) {
      const Vec<T> v = lanes.load(x + row * channels + c);
      plain.add(v);
      squares.add_product(v, v);
    }
    const int64_t n = channels - c < kLanes<T> ? channels - c : kLanes<T>;
    add_lanes(plain, n, sum + c);
    add_lanes(squares, n, sum_of_squares + c);
  });
}

template <typename T>
void scale_shift_relu_rows(const T* x, int64_t rows, int64_t channels, const T* scale, const T* shift, T* y) {
  for (int64_t row = 0; row < rows; ++row, x += channels, y += channels) {
    over<T>(channels, [&](int64_t c, auto lanes) {
      lanes.store(y + c, larger(lanes.load(x + c) * lanes.load(scale + c) + lanes.load(shift + c), Vec<T>{}));
    });
  }
}

template <typename T>
void batch_norm_relu_backward_sums_rows(const T* x, const T* y, const T* grad_y, int64_t rows, int64_t channels, const T* mean,
                                        double* sum_g, double* sum_gx) {
  over_channels<T>(rows, channels, [&](int64_t c, auto lanes, int64_t begin, int64_t end) {
    WideSum<T> plain, products;
    const Vec<T> m = lanes.load(mean + c);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * channels + c;
      const Vec<T> g = lanes.load(y + at) > Vec<T>{} ? lanes.load(grad_y + at) : Vec<T>{};
      plain.add(g);
      products.add_product(g, lanes.load(x + at) - m);
    }
    const int64_t n = channels - c < kLanes<T> ? channels - c : kLanes<T>;
    add_lanes(plain, n, sum_g + c);
    add_lanes(products, n, sum_gx + c);
  });
}

template <typename T>
void batch_norm_relu_backward_rows(const T* x, const T* y, const T* grad_y, int64_t rows, int64_t channels, const T* a,
                                   const T* b, const T* c, T* grad_x) {
  for (int64_t row = 0; row < rows; ++row, x += channels, y += channels, grad_y += channels, grad_x += channels) {
    over<T>(channels, [&](int64_t i, auto lanes) {
      const Vec<T> g = lanes.load(y + i) > Vec<T>{} ? lanes.load(grad_y + i) : Vec<T>{};
      lanes.store(grad_x + i, lanes.load(a + i) * g + lanes.load(b + i) * lanes.load(x + i) + lanes.load(c + i));
    });
  }
}

/// torch.optim.AdamW's order of operations.
template <typename T>
void adamw_loop(const AdamW& options, int64_t n, T* parameter, const T* gradient, T* first_moment, T* second_moment) {
  const double step = static_cast<double>(options.step);
  const double correction1 = 1 - std::pow(options.beta1, step), correction2 = 1 - std::pow(options.beta2, step);
  const Vec<T> keep = broadcast(static_cast<T>(1 - options.learning_rate * options.weight_decay));
  const Vec<T> rate1 = broadcast(static_cast<T>(1 - options.beta1)), rate2 = broadcast(static_cast<T>(1 - options.beta2));
  const Vec<T> beta2 = broadcast(static_cast<T>(options.beta2)), eps = broadcast(static_cast<T>(options.eps));
  const Vec<T> root = broadcast(static_cast<T>(std::sqrt(correction2)));
  const Vec<T> step_size = broadcast(static_cast<T>(options.learning_rate / correction1));
  const Vec<T> gradient_scale = broadcast(static_cast<T>(options.gradient_scale));
  over<T>(n, [&](int64_t i, auto lanes) {
    const Vec<T> g = lanes.load(gradient + i) * gradient_scale;
    const Vec<T> m_old = lanes.load(first_moment + i);
    const Vec<T> m = m_old + (g - m_old) * rate1;
    const Vec<T> v = lanes.load(second_moment + i) * beta2 + g * g * rate2;
    const Vec<T> denominator = square_root(v) / root + eps;
    lanes.store(first_moment + i, m);
    lanes.store(second_moment + i, v);
    lanes.store(parameter + i, lanes.load(parameter + i) * keep - step_size * (m / denominator));
  });
}

template <typename T>
double sum_of_squares_loop(const T* x, int64_t n) {
  WideSum<T> even, odd;
  const int64_t pairs = n / (2 * kLanes<T>)*(2 * kLanes<T>);
  for (int64_t i = 0; i < pairs; i += 2 * kLanes<T>) {
    const Vec<T> a = load(x + i), b = load(x + i + kLanes<T>);
    even.add_product(a, a);
    odd.add_product(b, b);
  }
  over<T>(n - pairs, [&](int64_t i, auto lanes) {
    const Vec<T> v = lanes.load(x + pairs + i);
    even.add_product(v, v);
  });
  return even.total() + odd.total();
}

template <typename T>
constexpr ElementwiseFunctions<T> kElementwiseFunctions{
    .rms_norm_forward = &rms_norm_forward_rows<T>,
    .rms_norm_backward = &rms_norm_backward_rows<T>,
    .swiglu_forward = &swiglu_forward_loop<T>,
    .swiglu_backward = &swiglu_backward_loop<T>,
    .rope = &rope_rows<T>,
    .cross_entropy_in_place = &cross_entropy_rows<T>,
    .channel_sums = &channel_sums_rows<T>,
    .scale_shift_relu = &scale_shift_relu_rows<T>,
    .batch_norm_relu_backward_sums = &batch_norm_relu_backward_sums_rows<T>,
    .batch_norm_relu_backward = &batch_norm_relu_backward_rows<T>,
    .adamw_step = &adamw_loop<T>,
    .sum_of_squares = &sum_of_squares_loop<T>,
};

}  // namespace
}  // namespace ocelli::kernels
