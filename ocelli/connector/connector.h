#pragma once

#include <memory>
#include <string>

#include "ocelli/base/cost.h"
#include "ocelli/connector/connector_config.h"
#include "ocelli/nn/module.h"
#include "ocelli/nn/run.h"
#include "ocelli/nn/visual_features.h"

namespace ocelli::connector {

/// What a connector may look at besides the features.
struct ConnectorContext {
  nn::RunContext& run;
  const nn::VisualFeatures* aux = nullptr;  ///< a second tower's maps, one entry a picture; null without
  at::Tensor instruction_ids =
      {};  ///< [N, T] int64, the question as the connector's own tokens (InstructBLIP); undefined without
};

class Connector : public nn::Module {
 public:
  /// features.maps: [N, P, D_vision], patches in raster order. Returns [N, Q, D_language].
  virtual at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) = 0;
  /// Visual tokens of one tile. Config only: needs no weights. Throws Error for a grid the connector can't take.
  virtual int64_t num_tokens(image::Grid grid) const = 0;
  /// The tokens of one tile as a map, for arrangements that join tiles; connectors whose tokens are no map give one row.
  virtual image::Grid token_grid(image::Grid grid) const { return {1, num_tokens(grid)}; }
  /// One token for each row it is given, so that a kept class token adds one.
  virtual bool keeps_rows() const { return false; }
  /// One forward pass over `tiles` grids.
  virtual Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const = 0;
};

/// The explicit list of connectors lives in connector.cpp.
std::shared_ptr<Connector> make_connector(const ConnectorConfig& config);

}  // namespace ocelli::connector
