#pragma once

#include "ocelli/base/cost.h"
#include "ocelli/image/image.h"
#include "ocelli/nn/module.h"

namespace ocelli::vision {

struct ConvConfig {
  int64_t in = 0;  ///< channels
  int64_t out = 0;
  int64_t kernel = 1;  ///< square
  int64_t stride = 1;
  int64_t padding = 0;  ///< zeros on every side
  int64_t groups = 1;   ///< in and out for a depthwise one
  bool bias = true;
};

/// A convolution over the two sides of a map.
class Conv final : public nn::Module {
 public:
  explicit Conv(const ConvConfig& config);

  /// x: [N, in, height, width], of any memory order, which the result takes over. Returns [N, out, size(height), size(width)].
  at::Tensor forward(const at::Tensor& x) const;
  /// What a side of that many becomes; below 1 when it is too short.
  int64_t size(int64_t side) const { return (side + 2 * config_.padding - config_.kernel + config_.stride) / config_.stride; }
  /// `tiles` maps that leave with that height and width.
  Cost cost(int64_t tiles, image::Grid out, const Workload& work) const;

 private:
  ConvConfig config_;
  at::Tensor weight_;  ///< [out, in / groups, kernel, kernel]
  at::Tensor bias_;    ///< [out], undefined without
};

/// A map [N, rows, columns, D] as convolutions take it, [N, D, rows, columns], in channels-last memory; and back. No copies.
inline at::Tensor channels_first(const at::Tensor& map) {
  return map.permute({0, 3, 1, 2});
}
inline at::Tensor channels_last(const at::Tensor& map) {
  return map.permute({0, 2, 3, 1});
}

}  // namespace ocelli::vision
