#pragma once

#include <array>
#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// MobileVLM's first lightweight downsample projector: linear_2(gelu(linear_1(x))), then two inverted residuals without expansion
/// over the grid, the second at stride 2. Each: depthwise 3 x 3 (no bias, padding 1), layer norm over channels, hardswish,
/// squeeze and excite (ReLU, hardsigmoid), pointwise projection (no bias), layer norm; the first adds its input. A grid of rows x
/// columns becomes ceil(rows / 2) x ceil(columns / 2) visual tokens. Published files hold the 1 x 1 convolutions as [out, in, 1,
/// 1]; here they are Linear. Source: MobileVLM, arXiv:2312.16886, section 3.3, and its vision_projector.py; torchvision's
/// InvertedResidual.
class LdpV1 final : public Connector {
 public:
  explicit LdpV1(const LdpConfig& config);
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid grid) const override;
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  class Block;
  std::shared_ptr<nn::Linear> linear_1_, linear_2_;
  std::array<std::shared_ptr<Block>, 2> blocks_;
};

/// MobileVLM V2's: linear_2(gelu(linear_1(x))) on every patch, adaptive average pooling of the grid to `pooled`, then x +
/// depthwise 3 x 3 (bias, padding 1): always `pooled` visual tokens. Source: MobileVLM V2, arXiv:2402.03766, section 3.2, and its
/// vision_projector.py.
class LdpV2 final : public Connector {
 public:
  explicit LdpV2(const LdpConfig& config);
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid) const override { return pooled_.count(); }
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  image::Grid pooled_;
  int64_t width_;
  std::shared_ptr<nn::Linear> linear_1_, linear_2_;
  at::Tensor peg_weight_, peg_bias_;  ///< [D, 1, 3, 3], [D]
};

}  // namespace ocelli::connector
