#include "ocelli/data/perceptual_hash.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "ocelli/base/error.h"
#include "ocelli/image/transform.h"

namespace ocelli::data {
namespace {

constexpr int kBands = 4, kBandBits = 16;
constexpr int kPlainLevels = 4;

/// Grey in all three channels, by Pillow's weights for "L".
image::Image grey(const image::Image& picture) {
  image::Image out = picture;
  for (size_t i = 0; i + 2 < out.pixels.size(); i += 3) {
    uint8_t* pixel = out.pixels.data() + i;
    const uint32_t level = (pixel[0] * 19595U + pixel[1] * 38470U + pixel[2] * 7471U + 0x8000U) >> 16;
    std::fill_n(pixel, 3, static_cast<uint8_t>(level));
  }
  return out;
}

uint16_t band_of(uint64_t hash, int band) {
  return static_cast<uint16_t>(hash >> (band * kBandBits));
}

/// Calls `visit` with every value that differs from `value` in at most `flips` bits, each once.
template <typename Visit>
void around(uint16_t value, int flips, int from, const Visit& visit) {
  visit(value);
  if (flips == 0) return;
  for (int bit = from; bit < kBandBits; ++bit) around(static_cast<uint16_t>(value ^ (1U << bit)), flips - 1, bit + 1, visit);
}

}  // namespace

std::optional<uint64_t> difference_hash(const image::Image& picture) {
  const image::Image small = image::resize(grey(picture), 9, 8, image::Filter::kLanczos);
  const auto [least, most] = std::minmax_element(small.pixels.begin(), small.pixels.end());
  if (*most - *least <= kPlainLevels) return std::nullopt;
  uint64_t hash = 0;
  for (int64_t y = 0; y < 8; ++y) {
    const uint8_t* row = small.row(y);
    for (int64_t x = 0; x < 8; ++x) hash = hash << 1 | (row[3 * (x + 1)] > row[3 * x] ? 1U : 0U);
  }
  return hash;
}

int hash_distance(uint64_t a, uint64_t b) {
  return std::popcount(a ^ b);
}

void HashIndex::add(uint64_t hash, int64_t item) {
  require(hashes_.size() < std::numeric_limits<uint32_t>::max(), "hash index: more than {} hashes", hashes_.size());
  const auto place = static_cast<uint32_t>(hashes_.size());
  if (!exact_.emplace(hash, place).second) return;
  hashes_.push_back(hash);
  items_.push_back(item);
  for (int band = 0; band < kBands; ++band) by_band_[static_cast<size_t>(band)][band_of(hash, band)].push_back(place);
}

std::optional<HashIndex::Match> HashIndex::nearest(uint64_t hash, int distance) const {
  require(distance >= 0 && distance <= kMaxDistance, "hash index: distance {}, expected 0 to {}", distance, kMaxDistance);
  if (const auto same = exact_.find(hash); same != exact_.end()) return Match{items_[same->second], 0};
  if (distance == 0) return std::nullopt;
  uint32_t best = 0;
  int least = distance + 1;
  for (int band = 0; band < kBands; ++band) {
    const auto& places = by_band_[static_cast<size_t>(band)];
    around(band_of(hash, band), distance / kBands, 0, [&](uint16_t value) {
      const auto found = places.find(value);
      if (found == places.end()) return;
      for (const uint32_t place : found->second) {
        const int apart = hash_distance(hash, hashes_[place]);
        if (apart > least || (apart == least && (apart > distance || place >= best))) continue;
        least = apart;
        best = place;
      }
    });
  }
  if (least > distance) return std::nullopt;
  return Match{items_[best], least};
}

}  // namespace ocelli::data
