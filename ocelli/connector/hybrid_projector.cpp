#include "ocelli/connector/hybrid_projector.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::connector {

HybridProjector::HybridProjector(const HybridProjectorConfig& config)
    : activation_(config.activation), aux_first_(config.aux_first) {
  require(config.aux_width > 0, "hybrid projector: there is no second tower");
  require(config.output_width % 2 == 0, "hybrid projector: output width {} is odd, expected two halves", config.output_width);
  const int64_t half = config.output_width / 2;
  proj_ = register_module("proj", std::make_shared<nn::Linear>(config.input_width, half, true));
  aux_proj_ = register_module("aux_proj", std::make_shared<nn::Linear>(config.aux_width, half, true));
  for (int64_t i = 1; i < config.depth; ++i) {
    layers_.push_back(register_module("linear_" + std::to_string(i + 1),
                                      std::make_shared<nn::Linear>(config.output_width, config.output_width, true)));
  }
}

at::Tensor HybridProjector::forward(const nn::VisualFeatures& features, const ConnectorContext& context) {
  require(context.aux != nullptr, "hybrid projector: there is no second tower");
  const at::Tensor &maps = features.maps, &aux = context.aux->maps;
  require(maps.size(0) == aux.size(0) && maps.size(1) == aux.size(1),
          "hybrid projector: {} tiles of {} patches beside {} of {} from the second tower, expected the same", maps.size(0),
          maps.size(1), aux.size(0), aux.size(1));
  const at::Tensor own = proj_->forward(maps), other = aux_proj_->forward(aux);
  at::Tensor x = aux_first_ ? at::cat({other, own}, -1) : at::cat({own, other}, -1);
  for (const auto& layer : layers_) x = layer->forward(nn::activate(activation_, x));
  return x;
}

Cost HybridProjector::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const int64_t rows = grid.count() * tiles;
  Cost total = proj_->cost(rows, work) + aux_proj_->cost(rows, work);
  for (const auto& layer : layers_) total += layer->cost(rows, work);
  return total;
}

}  // namespace ocelli::connector
