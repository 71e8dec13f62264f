#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "ocelli/base/cpu.h"
#include "ocelli/base/error.h"
#include "ocelli/image/resize_passes.h"
#include "ocelli/image/transform.h"

// Source: Pillow's src/libImaging/Resample.c and, for kNearest, the affine scale of Geometry.c. Byte-equality needs the same
// order of floating-point operations, so expressions here are not to be simplified.

namespace ocelli::image {
namespace {

using detail::Taps;

double box(double x) {
  return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

double bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

/// Keys' cubic convolution, a = -0.5.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) {
  return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

struct Kernel {
  double (*value)(double);
  double support;  ///< the kernel is zero farther out than this
};

Kernel kernel_of(Filter filter) {
  switch (filter) {
    case Filter::kBox:
      return {box, 0.5};
    case Filter::kBilinear:
      return {bilinear, 1.0};
    case Filter::kBicubic:
      return {bicubic, 2.0};
    case Filter::kLanczos:
      return {lanczos, 3.0};
    case Filter::kNearest:
      break;
  }
  fail("resize: filter {} has no kernel", static_cast<int>(filter));
}

Taps make_taps(int64_t inputs, int64_t outputs, const Kernel& kernel) {
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
  const double filter_scale = std::max(scale, 1.0);
  const double support = kernel.support * filter_scale;
  const double step = 1.0 / filter_scale;
  const int64_t most = std::min(inputs, static_cast<int64_t>(std::ceil(support)) * 2 + 1);

  Taps taps;
  taps.stride = (most + detail::kTapGroup - 1) / detail::kTapGroup * detail::kTapGroup;
  taps.first.resize(outputs);
  taps.count.resize(outputs);
  taps.weights.resize(outputs * taps.stride);
  std::vector<double> weights(most);
  for (int64_t i = 0; i < outputs; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    // Both round by truncation, as C does.
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const int64_t count = std::min(inputs, static_cast<int64_t>(center + support + 0.5)) - first;
    double sum = 0.0;
    for (int64_t k = 0; k < count; ++k) {
      weights[k] = kernel.value((static_cast<double>(k + first) - center + 0.5) * step);
      sum += weights[k];
    }
    for (int64_t k = 0; k < count; ++k) {
      if (sum != 0.0) weights[k] /= sum;
      const double fixed = weights[k] * (1 << detail::kWeightBits);
      taps.weights[i * taps.stride + k] = static_cast<int32_t>(fixed < 0 ? -0.5 + fixed : 0.5 + fixed);
    }
    taps.first[i] = first;
    taps.count[i] = count;
  }
  return taps;
}

Image resize_nearest(const Image& source, int64_t width, int64_t height) {
  // The position is summed up step by step: its rounding decides which pixel is taken.
  const auto positions = [](int64_t inputs, int64_t outputs) {
    const double step = static_cast<double>(inputs) / static_cast<double>(outputs);
    std::vector<int64_t> indices(outputs);
    double at = step * 0.5;
    for (int64_t& index : indices) {
      index = static_cast<int64_t>(at);
      at += step;
    }
    return indices;
  };
  const std::vector<int64_t> columns = positions(source.width, width), rows = positions(source.height, height);
  Image out(width, height);
  for (int64_t y = 0; y < height; ++y) {
    if (rows[y] >= source.height) continue;
    uint8_t* target = out.row(y);
    for (int64_t x = 0; x < width; ++x, target += 3) {
      if (columns[x] < source.width) std::memcpy(target, source.row(rows[y]) + columns[x] * 3, 3);
    }
  }
  return out;
}

bool use_avx2() {
#if defined(__x86_64__)
  const Isa isa = active_isa();
  return isa != Isa::kScalar && isa != Isa::kNeon;
#else
  return false;
#endif
}

}  // namespace

namespace detail {

void resize_rows(const Image& source, int64_t first_row, const Taps& taps, Image& out) {
  for (int64_t y = 0; y < out.height; ++y) {
    const uint8_t* row = source.row(first_row + y);
    uint8_t* target = out.row(y);
    for (int64_t x = 0; x < taps.outputs(); ++x, target += 3) {
      const uint8_t* in = row + taps.first[x] * 3;
      const int32_t* weight = taps.weight(x);
      int32_t red = 1 << (kWeightBits - 1), green = red, blue = red;
      for (int64_t k = 0; k < taps.count[x]; ++k, in += 3) {
        red += in[0] * weight[k];
        green += in[1] * weight[k];
        blue += in[2] * weight[k];
      }
      target[0] = to_pixel(red);
      target[1] = to_pixel(green);
      target[2] = to_pixel(blue);
    }
  }
}

void resize_columns(const Image& source, int64_t first_row, const Taps& taps, Image& out) {
  constexpr int64_t kBlock = 64;  // sums that stay in the first cache
  const int64_t bytes = source.width * 3;
  for (int64_t y = 0; y < taps.outputs(); ++y) {
    const int32_t* weight = taps.weight(y);
    for (int64_t left = 0; left < bytes; left += kBlock) {
      const int64_t block = std::min(kBlock, bytes - left);
      int32_t sums[kBlock];
      std::fill_n(sums, kBlock, 1 << (kWeightBits - 1));
      for (int64_t k = 0; k < taps.count[y]; ++k) {
        const uint8_t* in = source.row(taps.first[y] - first_row + k) + left;
        for (int64_t i = 0; i < block; ++i) sums[i] += in[i] * weight[k];
      }
      uint8_t* target = out.row(y) + left;
      for (int64_t i = 0; i < block; ++i) target[i] = to_pixel(sums[i]);
    }
  }
}

}  // namespace detail

Image resize(const Image& source, int64_t width, int64_t height, Filter filter) {
  require(width > 0 && height > 0, "resize: to {} x {} pixels; each side must be at least 1", width, height);
  require(source.width > 0 && source.height > 0, "resize: from {} x {} pixels; each side must be at least 1", source.width,
          source.height);
  if (width == source.width && height == source.height) return source;
  if (filter == Filter::kNearest) return resize_nearest(source, width, height);

  const Kernel kernel = kernel_of(filter);
  const bool avx2 = use_avx2();
  const auto rows = avx2 ? detail::resize_rows_avx2 : detail::resize_rows;
  const auto columns = avx2 ? detail::resize_columns_avx2 : detail::resize_columns;
  if (height == source.height) {
    Image out(width, height);
    rows(source, 0, make_taps(source.width, width, kernel), out);
    return out;
  }
  const Taps vertical = make_taps(source.height, height, kernel);
  Image out(width, height);
  if (width == source.width) {
    columns(source, 0, vertical, out);
    return out;
  }
  const Taps horizontal = make_taps(source.width, width, kernel);
  // Pillow 13 began to take the columns first where they shrink the picture far more (python-pillow/Pillow#9549).
  // Rounding between the passes makes the order visible.
  if (height < source.height && source.height - height > 2 * (source.width - width)) {
    Image low(source.width, height);
    columns(source, 0, vertical, low);
    rows(low, 0, horizontal, out);
    return out;
  }
  // Only the rows the second pass reads.
  const int64_t first_row = vertical.first.front();
  Image narrow(width, vertical.first.back() + vertical.count.back() - first_row);
  rows(source, first_row, horizontal, narrow);
  columns(narrow, first_row, vertical, out);
  return out;
}

}  // namespace ocelli::image
