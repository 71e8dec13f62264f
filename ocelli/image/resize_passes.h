#pragma once

#include <cstdint>
#include <vector>

#include "ocelli/image/image.h"

namespace ocelli::image::detail {

/// Fixed-point weights: 32 bits less 8 of the pixel less 2 for sums that overshoot (negative lobes).
inline constexpr int kWeightBits = 22;
/// Taps are stored in groups of this many, the last filled with zero weights.
inline constexpr int64_t kTapGroup = 4;

/// The taps of one axis: output i is the sum over k < count of weight(i)[k] * input[first[i] + k].
struct Taps {
  int64_t stride = 0;            ///< weights stored per output: a multiple of kTapGroup
  std::vector<int64_t> first;    ///< first input of each output
  std::vector<int64_t> count;    ///< inputs of each output
  std::vector<int32_t> weights;  ///< [outputs, stride], zero behind count

  int64_t outputs() const { return static_cast<int64_t>(first.size()); }
  const int32_t* weight(int64_t output) const { return weights.data() + output * stride; }
};

/// A fixed-point sum to a pixel.
inline uint8_t to_pixel(int32_t sum) {
  const int32_t value = sum >> kWeightBits;
  return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

/// One pass: rows [first_row, first_row + out.height) of `source`, each to taps.outputs() pixels.
void resize_rows(const Image& source, int64_t first_row, const Taps& taps, Image& out);
/// The other pass: column by column, to taps.outputs() rows. taps.first counts from row `first_row`, source's row 0.
void resize_columns(const Image& source, int64_t first_row, const Taps& taps, Image& out);

/// The same functions on AVX2.
void resize_rows_avx2(const Image& source, int64_t first_row, const Taps& taps, Image& out);
void resize_columns_avx2(const Image& source, int64_t first_row, const Taps& taps, Image& out);

}  // namespace ocelli::image::detail
