#pragma once

#include <memory>
#include <vector>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"

namespace ocelli::connector {

/// Two towers with maps of equal grids: each is projected to half the width, then an MLP goes over both halves.
/// Source: DeepSeek-VL, arXiv:2403.05525, section 3.1; `low_high_hybrid_split_mlp_gelu` of its projector.py; transformers'
/// DeepseekVLHybridAligner. Patches are matched by index.
class HybridProjector final : public Connector {
 public:
  explicit HybridProjector(const HybridProjectorConfig& config);

  /// features.maps: [N, P, input_width], context.aux->maps: [N, P, aux_width]. Returns [N, P, output_width].
  /// Throws Error when the two differ in N or P, or there is no second tower.
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid grid) const override { return grid.count(); }
  image::Grid token_grid(image::Grid grid) const override { return grid; }
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  nn::Activation activation_;
  bool aux_first_;
  std::shared_ptr<nn::Linear> proj_, aux_proj_;
  std::vector<std::shared_ptr<nn::Linear>> layers_;
};

}  // namespace ocelli::connector
