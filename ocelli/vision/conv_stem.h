#pragma once

#include "ocelli/base/cost.h"
#include "ocelli/nn/module.h"
#include "ocelli/vision/vision_config.h"

namespace ocelli::vision {

/// Convolutions 3 x 3 (padding 1, no bias), each followed by batch norm and ReLU in one fused pass over channels-last memory.
/// Batch norm: Ioffe and Szegedy, arXiv:1502.03167; statistics of the batch in training (biased variance to normalise, unbiased
/// in the running average, as in torch), the running ones otherwise.
class ConvStem final : public nn::Module {
 public:
  explicit ConvStem(const VisionConfig& config);

  /// pixels: [N, 3, height, width]. Returns [N, D, height / patch_size, width / patch_size] (rounded up), channels-last in
  /// memory.
  at::Tensor forward(const at::Tensor& pixels, bool training) const;

  /// `tiles` pictures of height x width.
  Cost cost(int64_t tiles, int64_t height, int64_t width, const Workload& work) const;

 private:
  struct Layer {
    at::Tensor conv_weight;                     ///< [out, in, 3, 3]
    at::Tensor weight, bias;                    ///< [out], of the batch norm
    at::Tensor running_mean, running_variance;  ///< [out]
  };
  VisionConfig config_;
  std::vector<Layer> layers_;
};

}  // namespace ocelli::vision
