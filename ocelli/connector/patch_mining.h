#pragma once

#include <memory>

#include "ocelli/connector/connector.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// Each patch of the low-resolution tower asks the block of high-resolution cells it covers: single-head attention whose result
/// is added to the patch; then two projections. A picture has one high-resolution map and `views()` low-resolution ones: its
/// tiles, row by row, read their part of the map, the view of the whole reads the map reduced bilinearly by the grid. Source:
/// Mini-Gemini, arXiv:2403.18814, section 3.2; `unified_resampler` and `encode_images` of its mgm_arch.py. Scores that are not
/// finite stay so, where the reference replaces them.
class PatchMining final : public Connector {
 public:
  explicit PatchMining(const PatchMiningConfig& config);

  /// features.maps: [M views(), P, input_width], picture by picture: its tiles, then the whole. context.aux->maps: [M, P',
  /// aux_width]. Returns [M views(), P, output_width], of each picture the whole first, then its tiles: the order the decoder
  /// sees. Throws Error unless the second grid is the first times image_grid times mining_scale and the counts agree.
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  /// What goes into the two projections: patches with what they mined, [M views(), P, input_width], ordered as the result.
  at::Tensor mine(const nn::VisualFeatures& features, const nn::VisualFeatures& aux) const;
  int64_t num_tokens(image::Grid grid) const override { return grid.count(); }
  image::Grid token_grid(image::Grid grid) const override { return grid; }
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  /// linear(norm(x)).
  class Projection;
  PatchMiningConfig config_;
  std::shared_ptr<Projection> query_, key_, value_;
  std::shared_ptr<nn::Linear> linear_1_, linear_2_;
};

}  // namespace ocelli::connector
