#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ocelli {

/// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011). A value is a pure function of
/// (seed, stream, counter), so any position can be resumed and threads can share one stream without order.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}
  /// A stream of its own, named: independent of every other name under the same seed.
  static Rng named(uint64_t seed, std::string_view name);

  /// Four 32-bit words at `counter`.
  std::array<uint32_t, 4> block(uint64_t counter) const;
  uint64_t bits(uint64_t counter) const;
  /// [0, 1) with 53 bits.
  double uniform(uint64_t counter) const;
  /// Standard normal (Box-Muller on one block).
  double normal(uint64_t counter) const;
  /// Uniform in [0, bound), without modulo bias worth noticing (bound < 2^32: error < 2^-32). bound >= 1.
  uint64_t below(uint64_t counter, uint64_t bound) const;
  /// A permutation of 0 … n-1 (Fisher-Yates with counters `first` … `first + n`).
  std::vector<int64_t> permutation(int64_t n, uint64_t first = 0) const;
  /// Fills with normal values times `std`, counters `first` … : the value at index i depends on i alone.
  void fill_normal(float* out, int64_t n, float std, uint64_t first = 0) const;
  void fill_uniform(float* out, int64_t n, float low, float high, uint64_t first = 0) const;

  uint64_t seed() const { return seed_; }
  uint64_t stream() const { return stream_; }

 private:
  uint64_t seed_;
  uint64_t stream_;
};

}  // namespace ocelli
