#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

// Vectors as the compilers' own vector types, as wide as the translation unit's instruction set: 64 bytes with AVX-512, 32 with
// AVX2, else 16, which every target has (SSE2, NEON). Everything lies in an anonymous namespace: each ISA's file has its own
// copies, and the linker can't mix them.
namespace ocelli::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <typename T>
struct Simd;
template <>
struct Simd<float> {
  typedef float Vec __attribute__((vector_size(kVectorBytes)));
  typedef float Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t Ints __attribute__((vector_size(kVectorBytes)));
  static constexpr int kLanes = kVectorBytes / 4;
};
template <>
struct Simd<double> {
  typedef double Vec __attribute__((vector_size(kVectorBytes)));
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef int64_t Ints __attribute__((vector_size(kVectorBytes)));
  static constexpr int kLanes = kVectorBytes / 8;
};
template <typename T>
using Vec = typename Simd<T>::Vec;
template <typename T>
constexpr int kLanes = Simd<T>::kLanes;

/// `n` rounded up to whole vectors.
template <typename T>
constexpr int64_t padded(int64_t n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

template <typename T>
inline Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename Simd<T>::Unaligned*>(p);
}
template <typename T>
inline void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename Simd<T>::Unaligned*>(p) = v;
}
template <typename T>
inline Vec<T> broadcast(T x) {
  // x - 0 keeps -0 and NaN; 0 + x would not.
  return x - Vec<T>{};
}

/// {0, 1, 2, …}
template <typename T, int... kLane>
inline typename Simd<T>::Ints lane_numbers(std::integer_sequence<int, kLane...>) {
  return typename Simd<T>::Ints{kLane...};
}
template <typename T>
inline typename Simd<T>::Ints lane_numbers() {
  return lane_numbers<T>(std::make_integer_sequence<int, kLanes<T>>{});
}

/// The first `n` elements, 0 < n < kLanes; the others read as zero and are not touched.
template <typename T>
inline Vec<T> load_first(const T* p, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane));
  }
#endif
  Vec<T> v{};
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
template <typename T>
inline void store_first(T* p, Vec<T> v, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) return _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane), v);
  }
#endif
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}

/// Calls f(i, lanes) for i = 0, kLanes, … below n; `lanes.load(p + i)` and `lanes.store(p + i, v)` touch what lies below n.
template <typename T>
struct AllLanes {
  Vec<T> load(const T* p) const { return kernels::load(p); }
  void store(T* p, Vec<T> v) const { kernels::store(p, v); }
};
template <typename T>
struct FirstLanes {
  int64_t count;
  Vec<T> load(const T* p) const { return load_first(p, count); }
  void store(T* p, Vec<T> v) const { store_first(p, v, count); }
};
template <typename T, typename F>
inline __attribute__((always_inline)) void over(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) f(i, AllLanes<T>{});
  if (i < n) f(i, FirstLanes<T>{n - i});
}

template <typename V>
inline V larger(V a, V b) {
  return a > b ? a : b;
}

template <int kStep, typename V, int... kLane>
inline V rotated(V v, std::integer_sequence<int, kLane...>) {
  constexpr int kCount = static_cast<int>(sizeof...(kLane));
  return __builtin_shufflevector(v, v, ((kLane + kStep) % kCount)...);
}
template <typename T, int kStep = kLanes<T> / 2>
inline T sum_of(Vec<T> v) {
  if constexpr (kStep == 0) {
    return v[0];
  } else {
    return sum_of<T, kStep / 2>(v + rotated<kStep>(v, std::make_integer_sequence<int, kLanes<T>>{}));
  }
}
template <typename T, int kStep = kLanes<T> / 2>
inline T largest_of(Vec<T> v) {
  if constexpr (kStep == 0) {
    return v[0];
  } else {
    return largest_of<T, kStep / 2>(larger(v, rotated<kStep>(v, std::make_integer_sequence<int, kLanes<T>>{})));
  }
}

inline Vec<float> square_root(Vec<float> x) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(0xffff, x);  // the plain form warns in g++ 12's own header
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#else
  for (int i = 0; i < kLanes<float>; ++i) x[i] = std::sqrt(x[i]);
  return x;
#endif
}
inline Vec<double> square_root(Vec<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = std::sqrt(x[i]);
  return x;
}

/// e^x within 2 ulp, exactly 0 below the smallest normal result (x < -87.33), capped at e^88.37; NaN stays NaN.
/// Cephes' expf: x = n log 2 + r with log 2 in two parts, |r| <= log(2) / 2, a polynomial in r, then n into the exponent.
inline Vec<float> exponential(Vec<float> x) {
  using Ints = typename Simd<float>::Ints;
  const Vec<float> least = broadcast(-87.33654f), most = broadcast(88.37626f);
  const Vec<float> low = x < least ? least : x;
  const Vec<float> clamped = low > most ? most : low;
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  const Vec<float> magic = broadcast(12582912.0f);
  const Vec<float> shifted = clamped * broadcast(1.44269504088896341f) + magic;
  const Vec<float> n = shifted - magic;
  const Vec<float> r = (clamped - n * broadcast(0.693359375f)) - n * broadcast(-2.12194440e-4f);
  Vec<float> p = broadcast(1.9875691500e-4f);
  p = p * r + broadcast(1.3981999507e-3f);
  p = p * r + broadcast(8.3334519073e-3f);
  p = p * r + broadcast(4.1665795894e-2f);
  p = p * r + broadcast(1.6666665459e-1f);
  p = p * r + broadcast(5.0000001201e-1f);
  const Vec<float> y = p * (r * r) + r + broadcast(1.0f);
  // Only the low nine bits of n + 127 survive the shift: sign and exponent of 2^n.
  const Ints bits = (reinterpret_cast<Ints>(shifted) + 127) << 23;
  const Vec<float> power = reinterpret_cast<Vec<float>>(bits);
  return x < least ? Vec<float>{} : y * power;
}
inline Vec<double> exponential(Vec<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = std::exp(x[i]);
  return x;
}

// Transposition of kLanes vectors in registers. The network takes the even blocks of a pair of vectors, then the odd ones.
template <int kBlock, int kParity, typename V, int... kLane>
inline V every_second(V a, V b, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, ((2 * (kLane / kBlock) + kParity) * kBlock + kLane % kBlock)...);
}
template <typename T, int kBlock>
inline void transpose_blocks(Vec<T>* v, int stride) {
  constexpr auto kAll = std::make_integer_sequence<int, kLanes<T>>{};
  if constexpr (kLanes<T> / kBlock == 2) {
    const Vec<T> a = v[0], b = v[stride];
    v[0] = every_second<kBlock, 0>(a, b, kAll);
    v[stride] = every_second<kBlock, 1>(a, b, kAll);
  } else if constexpr (kLanes<T> / kBlock == 4) {
    const Vec<T> even01 = every_second<kBlock, 0>(v[0], v[stride], kAll), odd01 = every_second<kBlock, 1>(v[0], v[stride], kAll);
    const Vec<T> even23 = every_second<kBlock, 0>(v[2 * stride], v[3 * stride], kAll);
    const Vec<T> odd23 = every_second<kBlock, 1>(v[2 * stride], v[3 * stride], kAll);
    v[0] = every_second<kBlock, 0>(even01, even23, kAll);
    v[stride] = every_second<kBlock, 0>(odd01, odd23, kAll);
    v[2 * stride] = every_second<kBlock, 1>(even01, even23, kAll);
    v[3 * stride] = every_second<kBlock, 1>(odd01, odd23, kAll);
  }
}
/// Interleaves units of kUnit elements of a and b within each 128 bits: the low halves (kHigh = 0) or the high ones.
template <int kUnit, int kHigh, typename V, int... kLane>
inline V interleave(V a, V b, std::integer_sequence<int, kLane...>) {
  constexpr int kCount = static_cast<int>(sizeof...(kLane));
  return __builtin_shufflevector(
      a, b, ((kLane / kUnit % 2) * kCount + kLane / 4 * 4 + kLane % 4 / (2 * kUnit) * kUnit + kLane % kUnit + 2 * kHigh)...);
}
/// v[i][j] = v[j][i].
template <typename T>
inline __attribute__((always_inline)) void transpose(Vec<T>* v) {
  if constexpr (kLanes<T> <= 4) {
    transpose_blocks<T, 1>(v, 1);
  } else {
    // Within 128 bits first: those shuffles are the cheap ones.
    constexpr auto kAll = std::make_integer_sequence<int, kLanes<T>>{};
    for (int i = 0; i < kLanes<T>; i += 4) {
      const Vec<T> low01 = interleave<1, 0>(v[i], v[i + 1], kAll), high01 = interleave<1, 1>(v[i], v[i + 1], kAll);
      const Vec<T> low23 = interleave<1, 0>(v[i + 2], v[i + 3], kAll), high23 = interleave<1, 1>(v[i + 2], v[i + 3], kAll);
      v[i] = interleave<2, 0>(low01, low23, kAll);
      v[i + 1] = interleave<2, 1>(low01, low23, kAll);
      v[i + 2] = interleave<2, 0>(high01, high23, kAll);
      v[i + 3] = interleave<2, 1>(high01, high23, kAll);
    }
    for (int k = 0; k < 4; ++k) transpose_blocks<T, 4>(v + k, 4);
  }
}

}  // namespace
}  // namespace ocelli::kernels
