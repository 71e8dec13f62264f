#pragma once

#include <memory>
#include <string>

#include "ocelli/base/cost.h"
#include "ocelli/base/json.h"
#include "ocelli/nn/activation.h"
#include "ocelli/nn/module.h"
#include "ocelli/nn/run.h"
#include "ocelli/nn/visual_features.h"

namespace ocelli::connector {

/// From patch features to visual tokens of the decoder's width.
struct ConnectorConfig {
  enum class Type { kLinear, kMlp, kPixelShuffle } type = Type::kMlp;
  int64_t input_width = 0;    ///< of the tower's features
  int64_t output_width = 0;   ///< of the decoder
  int64_t hidden_width = 0;   ///< of the layer between, 0: output_width
  nn::Activation activation = nn::Activation::kGelu;
  bool bias = true;
  int64_t scale = 2;          ///< pixel shuffle: r x r patches become one token
  double layer_norm_eps = 1e-5;

  /// Reads `type`, `scale`, `projector_hidden_act`, …; the widths come from the parts on both sides.
  static ConnectorConfig from_json(const JsonView& config, int64_t input_width, int64_t output_width);
  Json to_json() const;
};

/// What a connector may look at besides the features: a second tower's maps, instruction ids. Empty for the connectors here.
struct ConnectorContext {
  nn::RunContext& run;
};

class Connector : public nn::Module {
 public:
  /// features.maps: [N, P, D_vision], patches in raster order. Returns [N, Q, D_language].
  virtual at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) = 0;
  /// Visual tokens of one tile. Config only: needs no weights. Throws Error for a grid the connector can't take.
  virtual int64_t num_tokens(image::Grid grid) const = 0;
  /// One forward pass over `tiles` grids.
  virtual Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const = 0;
};

/// The explicit list of connectors lives in connector.cpp.
std::shared_ptr<Connector> make_connector(const ConnectorConfig& config);

}  // namespace ocelli::connector
