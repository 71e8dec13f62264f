#include "ocelli/image/resize_planes.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ocelli/base/error.h"

// Source: ATen's native/UpSample.h and native/cpu/UpSampleKernel.cpp. Positions are float32 there, so here too.

namespace ocelli::image {
namespace {

/// Output i is the sum over k < count of weight[i * count + k] * input[index[i * count + k]].
struct Taps {
  int64_t count = 0;
  std::vector<int64_t> index;
  std::vector<float> weight;
};

Taps bilinear(int64_t inputs, int64_t outputs) {
  const float scale = static_cast<float>(inputs) / static_cast<float>(outputs);
  Taps taps;
  taps.count = 2;
  for (int64_t i = 0; i < outputs; ++i) {
    const float position = std::max(scale * (static_cast<float>(i) + 0.5F) - 0.5F, 0.0F);
    const int64_t left = std::min(static_cast<int64_t>(position), inputs - 1);
    const float fraction = position - static_cast<float>(left);
    taps.index.insert(taps.index.end(), {left, std::min(left + 1, inputs - 1)});
    taps.weight.insert(taps.weight.end(), {1.0F - fraction, fraction});
  }
  return taps;
}

Taps bicubic(int64_t inputs, int64_t outputs) {
  constexpr float a = -0.75F;
  const auto near = [](float x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  const auto far = [](float x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  const float scale = static_cast<float>(inputs) / static_cast<float>(outputs);
  Taps taps;
  taps.count = 4;
  for (int64_t i = 0; i < outputs; ++i) {
    const float position = scale * (static_cast<float>(i) + 0.5F) - 0.5F;
    const int64_t left = std::min(static_cast<int64_t>(std::floor(position)), inputs - 1);
    const float fraction = std::clamp(position - static_cast<float>(left), 0.0F, 1.0F);
    for (int64_t k = -1; k <= 2; ++k) taps.index.push_back(std::clamp<int64_t>(left + k, 0, inputs - 1));
    taps.weight.insert(taps.weight.end(), {far(fraction + 1), near(fraction), near(1 - fraction), far(2 - fraction)});
  }
  return taps;
}

Taps bilinear_antialias(int64_t inputs, int64_t outputs) {
  const float scale = static_cast<float>(inputs) / static_cast<float>(outputs);
  const float support = std::max(scale, 1.0F), step = 1.0F / support;
  Taps taps;
  taps.count = std::min(inputs, static_cast<int64_t>(std::ceil(support)) * 2 + 1);
  std::vector<float> weights(static_cast<size_t>(taps.count));
  for (int64_t i = 0; i < outputs; ++i) {
    const float center = scale * (static_cast<float>(i) + 0.5F);
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5F), 0);
    const int64_t count = std::min({static_cast<int64_t>(center + support + 0.5F), inputs, first + taps.count}) - first;
    float sum = 0;
    for (int64_t k = 0; k < count; ++k) {
      weights[k] = std::max(0.0F, 1.0F - std::abs((static_cast<float>(k + first) - center + 0.5F) * step));
      sum += weights[k];
    }
    for (int64_t k = 0; k < taps.count; ++k) {
      taps.index.push_back(std::min(first + k, inputs - 1));
      taps.weight.push_back(k < count ? weights[k] / sum : 0.0F);
    }
  }
  return taps;
}

Taps make_taps(int64_t inputs, int64_t outputs, PlaneFilter filter) {
  switch (filter) {
    case PlaneFilter::kBilinear:
      return bilinear(inputs, outputs);
    case PlaneFilter::kBilinearAntialias:
      return bilinear_antialias(inputs, outputs);
    case PlaneFilter::kBicubic:
      break;
  }
  return bicubic(inputs, outputs);
}

}  // namespace

void resize_planes(std::span<const float> in, Size from, std::span<float> out, Size to, PlaneFilter filter) {
  for (const int64_t side : {from.height, from.width, to.height, to.width}) {
    require(side >= 1 && side <= kMaxSide, "resize_planes: {} x {} to {} x {}; sides must be 1 to {}", from.width, from.height,
            to.width, to.height, kMaxSide);
  }
  const size_t source = static_cast<size_t>(from.height) * static_cast<size_t>(from.width);
  const size_t target = static_cast<size_t>(to.height) * static_cast<size_t>(to.width);
  require(in.size() % source == 0 && out.size() == in.size() / source * target,
          "resize_planes: {} values for planes of {} x {} to {} values for {} x {}", in.size(), from.width, from.height,
          out.size(), to.width, to.height);
  const Taps horizontal = make_taps(from.width, to.width, filter), vertical = make_taps(from.height, to.height, filter);
  std::vector<float> narrow(static_cast<size_t>(from.height) * static_cast<size_t>(to.width));
  for (size_t plane = 0; plane < in.size() / source; ++plane) {
    for (int64_t y = 0; y < from.height; ++y) {
      const float* row = in.data() + plane * source + y * from.width;
      for (int64_t x = 0; x < to.width; ++x) {
        float sum = 0;
        for (int64_t k = x * horizontal.count; k < (x + 1) * horizontal.count; ++k) {
          sum += row[horizontal.index[k]] * horizontal.weight[k];
        }
        narrow[y * to.width + x] = sum;
      }
    }
    for (int64_t y = 0; y < to.height; ++y) {
      float* row = out.data() + plane * target + y * to.width;
      std::fill_n(row, to.width, 0.0F);
      for (int64_t k = y * vertical.count; k < (y + 1) * vertical.count; ++k) {
        const float* other = narrow.data() + vertical.index[k] * to.width;
        for (int64_t x = 0; x < to.width; ++x) row[x] += other[x] * vertical.weight[k];
      }
    }
  }
}

}  // namespace ocelli::image
