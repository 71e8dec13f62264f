#pragma once

#include <cstdint>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::vision {

/// A ConvNeXt trunk; the defaults are those of ConvNeXt-L.
struct ConvNextConfig {
  std::vector<int64_t> hidden_sizes = {192, 384, 768, 1536};  ///< channels of each stage
  std::vector<int64_t> depths = {3, 3, 27, 3};                ///< blocks of each stage
  int64_t patch_size = 4;                                     ///< of the stem; each later stage halves the map once more
  double layer_norm_eps = 1e-6;
  int64_t image_size = 768;  ///< pixels a side, as published; other sizes are taken as well

  /// `config`: a vision_config object with `model_type` convnext_tower. Throws Error naming key, value and what would be right.
  static ConvNextConfig from_json(const JsonView& config);
  Json to_json() const;

  /// All stages' channels.
  int64_t feature_width() const;
};

}  // namespace ocelli::vision
