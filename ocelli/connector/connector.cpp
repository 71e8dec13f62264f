#include "ocelli/connector/connector.h"

#include "ocelli/base/error.h"
#include "ocelli/connector/average_pool.h"
#include "ocelli/connector/concat_neighbours.h"
#include "ocelli/connector/glu.h"
#include "ocelli/connector/hybrid_projector.h"
#include "ocelli/connector/ldp.h"
#include "ocelli/connector/mlp_connector.h"
#include "ocelli/connector/patch_merger.h"
#include "ocelli/connector/patch_mining.h"
#include "ocelli/connector/pixel_shuffle.h"
#include "ocelli/connector/qformer.h"
#include "ocelli/connector/resampler.h"
#include "ocelli/connector/token_packer.h"
#include "ocelli/connector/window_resampler.h"

namespace ocelli::connector {

std::shared_ptr<Connector> make_connector(const ConnectorConfig& config) {
  using Type = ConnectorConfig::Type;
  switch (config.type) {
    case Type::kLinear:
    case Type::kMlp:
    case Type::kNormedMlp:
      return std::make_shared<MlpConnector>(config);
    case Type::kPixelShuffle:
      return std::make_shared<PixelShuffle>(config);
    case Type::kConcatNeighbours:
      return std::make_shared<ConcatNeighbours>(config.concat.neighbours, config.input_width, config.output_width, config.bias);
    case Type::kQFormer:
      return std::make_shared<QFormer>(config.qformer, config.input_width, config.output_width);
    case Type::kResampler:
      return std::make_shared<Resampler>(config.resampler);
    case Type::kWindowResampler:
      return std::make_shared<WindowResampler>(config.window);
    case Type::kLdp:
      return std::make_shared<LdpV1>(config.ldp);
    case Type::kLdpV2:
      return std::make_shared<LdpV2>(config.ldp);
    case Type::kAveragePool:
      return std::make_shared<AveragePool>(config.pool);
    case Type::kTokenPacker:
      return std::make_shared<TokenPacker>(config.packer);
    case Type::kPatchMining:
      return std::make_shared<PatchMining>(config.mining);
    case Type::kHybrid:
      return std::make_shared<HybridProjector>(config.hybrid);
    case Type::kGlu:
      return std::make_shared<Glu>(config);
    case Type::kPatchMerger:
      return std::make_shared<PatchMerger>(config.merger);
  }
  fail("connector: unknown type");
}

}  // namespace ocelli::connector
