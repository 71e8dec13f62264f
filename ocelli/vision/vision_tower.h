#pragma once

#include <memory>

#include "ocelli/base/cost.h"
#include "ocelli/nn/module.h"
#include "ocelli/nn/run.h"
#include "ocelli/nn/visual_features.h"
#include "ocelli/vision/vision_config.h"

namespace ocelli::vision {

/// Pixels to patch features.
class VisionTower : public nn::Module {
 public:
  /// pixels: [N, 3, height, width], normalised. Returns maps [N, P, feature_width()].
  /// Throws Error when a side holds no whole patch.
  virtual nn::VisualFeatures forward(const at::Tensor& pixels, nn::RunContext& context) = 0;
  /// Patches of one tile of that many pixels.
  virtual image::Grid grid(int64_t height, int64_t width) const = 0;
  virtual int64_t feature_width() const = 0;
  /// All tiles of the workload, once per sequence.
  virtual Cost cost(const Workload& work) const = 0;
};

/// The explicit list of towers lies in vision_tower.cpp.
std::shared_ptr<VisionTower> make_vision_tower(const VisionConfig& config);

/// The workload's tiles through a tower whose weights are the same for all: `of_tile(height, width)` for each, once per sequence.
template <typename OfTile>
Cost cost_of_tiles(const VisionTower& tower, const Workload& work, const OfTile& of_tile) {
  Cost total;
  for (const auto& [height, width] : work.tiles) {
    const Cost tile = of_tile(height, width);
    total += tile * static_cast<double>(work.batch);
    total.parameters = tile.parameters;
  }
  if (work.tiles.empty()) total.parameters = nn::count_parameters(tower);
  return total;
}

/// The pixels as the tower's forward() wants them: config.input_norm applied.
at::Tensor normalised(const VisionConfig& config, const at::Tensor& pixels);

}  // namespace ocelli::vision
