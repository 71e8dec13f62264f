#include "ocelli/comm/reduce.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>

namespace ocelli::comm {
namespace {

/// Storage and accumulator of each type.
struct Float32 {
  using Stored = float;
  using Sum = float;
  static Sum widen(Stored value) { return value; }
  static Stored narrow(Sum value) { return value; }
};

struct Float64 {
  using Stored = double;
  using Sum = double;
  static Sum widen(Stored value) { return value; }
  static Stored narrow(Sum value) { return value; }
};

/// Unsigned inside, so that a sum wraps instead of being undefined.
struct Int64 {
  using Stored = int64_t;
  using Sum = uint64_t;
  static Sum widen(Stored value) { return static_cast<uint64_t>(value); }
  static Stored narrow(Sum value) { return static_cast<int64_t>(value); }
};

struct BFloat16 {
  using Stored = uint16_t;
  using Sum = float;
  static Sum widen(Stored value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }
  static Stored narrow(Sum value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    // Rounding could carry a NaN's fraction into infinity: keep it a quiet NaN.
    if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40U);
    return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
  }
};

template <typename Type>
typename Type::Sum larger(typename Type::Sum a, typename Type::Sum b) {
  if constexpr (std::is_same_v<Type, Int64>) {
    return static_cast<int64_t>(a) < static_cast<int64_t>(b) ? b : a;
  } else {
    return std::isnan(a) || a > b ? a : b;  // b when b is NaN
  }
}

/// Blocks that stay in the first cache, so that every rank's memory is read once and inner loops run over one array.
constexpr int64_t kBlock = 1024;

template <typename Type>
void reduce_as(std::span<const void* const> inputs, std::span<void* const> outputs, ReduceOp op, int64_t begin, int64_t end,
               int64_t output_offset) {
  using Stored = typename Type::Stored;
  std::array<typename Type::Sum, kBlock> sum;
  for (int64_t start = begin; start < end; start += kBlock) {
    const int64_t n = std::min(kBlock, end - start);
    const Stored* first = static_cast<const Stored*>(inputs[0]) + start;
    for (int64_t i = 0; i < n; ++i) sum[i] = Type::widen(first[i]);
    for (const void* input : inputs.subspan(1)) {
      const Stored* values = static_cast<const Stored*>(input) + start;
      if (op == ReduceOp::kSum) {
        for (int64_t i = 0; i < n; ++i) sum[i] += Type::widen(values[i]);
      } else {
        for (int64_t i = 0; i < n; ++i) sum[i] = larger<Type>(sum[i], Type::widen(values[i]));
      }
    }
    for (void* output : outputs) {
      Stored* values = static_cast<Stored*>(output) + (start - output_offset);
      for (int64_t i = 0; i < n; ++i) values[i] = Type::narrow(sum[i]);
    }
  }
}

}  // namespace

void reduce(std::span<const void* const> inputs, std::span<void* const> outputs, DType dtype, ReduceOp op, int64_t begin,
            int64_t end, int64_t output_offset) {
  assert(!inputs.empty());
  switch (dtype) {
    case DType::kF32:
      return reduce_as<Float32>(inputs, outputs, op, begin, end, output_offset);
    case DType::kF64:
      return reduce_as<Float64>(inputs, outputs, op, begin, end, output_offset);
    case DType::kBF16:
      return reduce_as<BFloat16>(inputs, outputs, op, begin, end, output_offset);
    case DType::kI64:
      return reduce_as<Int64>(inputs, outputs, op, begin, end, output_offset);
    default:
      assert(false && "fault_in lets only the four types through");
  }
}

}  // namespace ocelli::comm
