#include "ocelli/image/resize_passes.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

// AVX2 has no cheap 32-bit product, but one of pairs of 16-bit numbers that adds the two: madd. So each weight w is split
// into high * 4096 + low with low in [0, 4096) and high a signed 11-bit number, and each tap pair costs one madd a half.
// Everything is exact modulo 2^32, and the final sum fits 32 bits, so the bytes are those of the scalar code.

namespace ocelli::image::detail {
namespace {

constexpr int kLowBits = 12;

struct Halves {
  int16_t low, high;
};

Halves split(int32_t weight) {
  return {static_cast<int16_t>(weight & ((1 << kLowBits) - 1)), static_cast<int16_t>(weight >> kLowBits)};
}

int32_t pair(int16_t even, int16_t odd) {
  return static_cast<int32_t>(static_cast<uint16_t>(even) | static_cast<uint32_t>(static_cast<uint16_t>(odd)) << 16);
}

constexpr int32_t kHalf = 1 << (kWeightBits - 1);
/// Rows taken together in the first pass: their sums share each load of weights and fit the 16 registers.
constexpr int64_t kRows = 4;
/// The first pass loads 16 bytes for 4 pixels of 12.
constexpr int64_t kOverread = 4;

/// Sums of one output pixel for N rows, from groups of four taps. `weights`: per group 8 pairs of low halves (taps 0 1 in
/// the lower four lanes, taps 2 3 in the upper), then 8 of high ones.
template <int64_t N>
__attribute__((target("avx2"))) void sum_pixel(const uint8_t* in, int64_t row_bytes, const int32_t* weights, int64_t groups,
                                               uint8_t* out, int64_t out_bytes) {
  // Bytes R0 G0 B0 R1 G1 B1 R2 … to 16-bit R0 R1 G0 G1 B0 B1 0 0 | R2 R3 G2 G3 B2 B3 0 0.
  const __m256i spread = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                          6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  __m256i low[N], high[N];
  for (int64_t r = 0; r < N; ++r) low[r] = high[r] = _mm256_setzero_si256();
  for (int64_t g = 0; g < groups; ++g, in += 12, weights += 16) {
    const __m256i weight_low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
    const __m256i weight_high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights + 8));
    for (int64_t r = 0; r < N; ++r) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + r * row_bytes));
      const __m256i pairs = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), spread);
      low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(pairs, weight_low));
      high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(pairs, weight_high));
    }
  }
  for (int64_t r = 0; r < N; ++r) {
    const __m256i both = _mm256_add_epi32(low[r], _mm256_slli_epi32(high[r], kLowBits));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(kHalf)), kWeightBits);
    sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
    const int32_t rgb = _mm_cvtsi128_si32(sum);
    std::memcpy(out + r * out_bytes, &rgb, 3);
  }
}

/// The weights of every output in sum_pixel's order.
std::vector<int32_t> spread_weights(const Taps& taps) {
  std::vector<int32_t> spread(taps.weights.size() * 4);
  int32_t* out = spread.data();
  for (size_t i = 0; i < taps.weights.size(); i += 4, out += 16) {
    const Halves a = split(taps.weights[i]), b = split(taps.weights[i + 1]);
    const Halves c = split(taps.weights[i + 2]), d = split(taps.weights[i + 3]);
    std::fill_n(out, 4, pair(a.low, b.low));
    std::fill_n(out + 4, 4, pair(c.low, d.low));
    std::fill_n(out + 8, 4, pair(a.high, b.high));
    std::fill_n(out + 12, 4, pair(c.high, d.high));
  }
  return spread;
}

/// One byte column range of one output row, scalar: what is left behind whole vectors.
void sum_columns(const uint8_t* in, int64_t row_bytes, const int32_t* weight, int64_t count, uint8_t* out, int64_t bytes) {
  for (int64_t i = 0; i < bytes; ++i) {
    int32_t sum = kHalf;
    for (int64_t k = 0; k < count; ++k) sum += in[k * row_bytes + i] * weight[k];
    out[i] = to_pixel(sum);
  }
}

__attribute__((target("avx2"))) inline __m256i shift(__m256i low, __m256i high) {
  const __m256i sum = _mm256_add_epi32(low, _mm256_slli_epi32(high, kLowBits));
  return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(kHalf)), kWeightBits);
}

/// 32 bytes of one output row. `weights`: per tap pair its low halves, then its high ones.
__attribute__((target("avx2"))) void sum_columns_32(const uint8_t* in, int64_t row_bytes, const int32_t* weights, int64_t count,
                                                    uint8_t* out) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i low[4] = {zero, zero, zero, zero}, high[4] = {zero, zero, zero, zero};
  for (int64_t k = 0; k < count; k += 2, in += 2 * row_bytes, weights += 2) {
    const __m256i even = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
    // An odd tap out has weight zero; its row may not exist.
    const __m256i odd = k + 1 < count ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + row_bytes)) : zero;
    const __m256i lower = _mm256_unpacklo_epi8(even, odd), upper = _mm256_unpackhi_epi8(even, odd);
    const __m256i pairs[4] = {_mm256_unpacklo_epi8(lower, zero), _mm256_unpackhi_epi8(lower, zero),
                              _mm256_unpacklo_epi8(upper, zero), _mm256_unpackhi_epi8(upper, zero)};
    const __m256i weight_low = _mm256_set1_epi32(weights[0]), weight_high = _mm256_set1_epi32(weights[1]);
    for (int i = 0; i < 4; ++i) {
      low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(pairs[i], weight_low));
      high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(pairs[i], weight_high));
    }
  }
  // Unpacking and packing both work within the two 128-bit lanes, so the bytes come back in their order.
  const __m256i lower = _mm256_packs_epi32(shift(low[0], high[0]), shift(low[1], high[1]));
  const __m256i upper = _mm256_packs_epi32(shift(low[2], high[2]), shift(low[3], high[3]));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_packus_epi16(lower, upper));
}

}  // namespace

void resize_rows_avx2(const Image& source, int64_t first_row, const Taps& taps, Image& out) {
  const std::vector<int32_t> weights = spread_weights(taps);
  const int64_t row_bytes = source.width * 3, out_bytes = out.width * 3;
  const uint8_t* end = source.pixels.data() + source.pixels.size();
  for (int64_t y = 0; y < out.height; y += kRows) {
    const int64_t rows = std::min(kRows, out.height - y);
    const uint8_t* in = source.row(first_row + y);
    for (int64_t x = 0; x < taps.outputs(); ++x) {
      const uint8_t* start = in + taps.first[x] * 3;
      const int32_t* weight = weights.data() + x * taps.stride * 4;
      const int64_t groups = (taps.count[x] + kTapGroup - 1) / kTapGroup;
      uint8_t* target = out.row(y) + x * 3;
      const int64_t reach = groups * kTapGroup * 3 + kOverread;
      if (rows == kRows && end - (start + (kRows - 1) * row_bytes) >= reach) {
        sum_pixel<kRows>(start, row_bytes, weight, groups, target, out_bytes);
        continue;
      }
      for (int64_t r = 0; r < rows; ++r, start += row_bytes, target += out_bytes) {
        if (end - start >= reach) {
          sum_pixel<1>(start, row_bytes, weight, groups, target, out_bytes);
          continue;
        }
        // The picture's last bytes: a copy with room behind it, group by group, would cost more than three plain sums.
        for (int channel = 0; channel < 3; ++channel) {
          int32_t sum = kHalf;
          for (int64_t k = 0; k < taps.count[x]; ++k) sum += start[k * 3 + channel] * taps.weight(x)[k];
          target[channel] = to_pixel(sum);
        }
      }
    }
  }
}

void resize_columns_avx2(const Image& source, int64_t first_row, const Taps& taps, Image& out) {
  const int64_t row_bytes = source.width * 3;
  std::vector<int32_t> weights(static_cast<size_t>(taps.stride));
  for (int64_t y = 0; y < taps.outputs(); ++y) {
    for (int64_t k = 0; k < taps.stride; k += 2) {
      const Halves even = split(taps.weight(y)[k]), odd = split(taps.weight(y)[k + 1]);
      weights[k] = pair(even.low, odd.low);
      weights[k + 1] = pair(even.high, odd.high);
    }
    const uint8_t* in = source.row(taps.first[y] - first_row);
    uint8_t* target = out.row(y);
    int64_t at = 0;
    for (; at + 32 <= row_bytes; at += 32) sum_columns_32(in + at, row_bytes, weights.data(), taps.count[y], target + at);
    sum_columns(in + at, row_bytes, taps.weight(y), taps.count[y], target + at, row_bytes - at);
  }
}

}  // namespace ocelli::image::detail

#else

// Never called: resize() picks AVX2 on x86 alone.
namespace ocelli::image::detail {
void resize_rows_avx2(const Image& source, int64_t first_row, const Taps& taps, Image& out) {
  resize_rows(source, first_row, taps, out);
}
void resize_columns_avx2(const Image& source, int64_t first_row, const Taps& taps, Image& out) {
  resize_columns(source, first_row, taps, out);
}
}  // namespace ocelli::image::detail

#endif
