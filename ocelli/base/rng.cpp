#include "ocelli/base/rng.h"

#include <xxhash.h>

#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>
#include <utility>

#include "ocelli/base/error.h"

namespace ocelli {
namespace {

__extension__ typedef unsigned __int128 Uint128;

// Multipliers and Weyl constants of Philox4x32 (Salmon et al., SC 2011, section 4.3; Random123's philox.h).
constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

uint64_t join(uint32_t low, uint32_t high) {
  return static_cast<uint64_t>(high) << 32 | low;
}

/// [0, 1) from the top 53 bits.
double unit(uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace

Rng Rng::named(uint64_t seed, std::string_view name) {
  return Rng(seed, XXH3_64bits(name.data(), name.size()));
}

std::array<uint32_t, 4> Rng::block(uint64_t counter) const {
  std::array<uint32_t, 4> c{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), static_cast<uint32_t>(stream_),
                            static_cast<uint32_t>(stream_ >> 32)};
  uint32_t key0 = static_cast<uint32_t>(seed_);
  uint32_t key1 = static_cast<uint32_t>(seed_ >> 32);
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(kMultiplier0) * c[0];
    const uint64_t product1 = static_cast<uint64_t>(kMultiplier1) * c[2];
    c = {static_cast<uint32_t>(product1 >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(product1),
         static_cast<uint32_t>(product0 >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return c;
}

uint64_t Rng::bits(uint64_t counter) const {
  const auto words = block(counter);
  return join(words[0], words[1]);
}

double Rng::uniform(uint64_t counter) const {
  return unit(bits(counter));
}

double Rng::normal(uint64_t counter) const {
  const auto words = block(counter);
  // 1 - [0, 1) lies in (0, 1]: the logarithm stays finite.
  const double radius = std::sqrt(-2.0 * std::log(1.0 - unit(join(words[0], words[1]))));
  return radius * std::cos(2.0 * std::numbers::pi * unit(join(words[2], words[3])));
}

uint64_t Rng::below(uint64_t counter, uint64_t bound) const {
  require(bound >= 1, "rng: below(bound) with bound 0, expected at least 1");
  // Multiply-shift without rejection: a value's probability is off by less than 2^-64, so by bound * 2^-64 of itself.
  return static_cast<uint64_t>((static_cast<Uint128>(bits(counter)) * bound) >> 64);
}

std::vector<int64_t> Rng::permutation(int64_t n, uint64_t first) const {
  require(n >= 0, "rng: permutation of {} values, expected at least 0", n);
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (uint64_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[below(first + i - 1, i)]);
  }
  return order;
}

void Rng::fill_normal(float* out, int64_t n, float std, uint64_t first) const {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(normal(first + static_cast<uint64_t>(i)) * static_cast<double>(std));
  }
}

void Rng::fill_uniform(float* out, int64_t n, float low, float high, uint64_t first) const {
  for (int64_t i = 0; i < n; ++i) {
    // 24 bits: the sum below is then exact for [0, 1), so that `high` isn't reached by rounding.
    const float part = static_cast<float>(bits(first + static_cast<uint64_t>(i)) >> 40) * 0x1.0p-24F;
    out[i] = low + (high - low) * part;
  }
}

}  // namespace ocelli
