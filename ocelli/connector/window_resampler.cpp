#include "ocelli/connector/window_resampler.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::connector {

WindowResampler::WindowResampler(const WindowResamplerConfig& config)
    : num_windows_(config.num_windows), global_view_(config.global_view) {
  require(config.num_windows > 0, "window_resampler: num_windows is {}, expected at least 1", config.num_windows);
  resampler_ = register_module("resampler", std::make_shared<Resampler>(config.view));
  if (config.local) token_resampler_ = register_module("token_resampler", std::make_shared<TokenResampler>(*config.local));
}

image::Grid WindowResampler::view_grid(image::Grid grid) const {
  require(grid.rows % views() == 0, "window_resampler: grid {} x {} does not hold {} views one below the other", grid.rows,
          grid.columns, views());
  return {grid.rows / views(), grid.columns};
}

at::Tensor WindowResampler::forward(const nn::VisualFeatures& features, const ConnectorContext& context) {
  const image::Grid view = view_grid(features.grid);
  const int64_t pictures = features.maps.size(0), width = features.maps.size(2);
  const at::Tensor tokens =
      resampler_->forward({features.maps.reshape({pictures * views(), view.count(), width}), view}, context);
  const int64_t queries = tokens.size(1);
  const at::Tensor by_picture = tokens.view({pictures, views() * queries, tokens.size(2)});
  at::Tensor local = by_picture.slice(1, 0, num_windows_ * queries);
  if (token_resampler_) local = token_resampler_->forward(local);
  return global_view_ ? at::cat({local, by_picture.slice(1, num_windows_ * queries)}, 1) : local;
}

int64_t WindowResampler::num_tokens(image::Grid grid) const {
  const int64_t queries = resampler_->num_tokens(view_grid(grid)), local = num_windows_ * queries;
  return (token_resampler_ ? token_resampler_->num_tokens(local) : local) + (global_view_ ? queries : 0);
}

Cost WindowResampler::cost(image::Grid grid, int64_t tiles, const Workload& work) const {
  const image::Grid view = view_grid(grid);
  Cost total = resampler_->cost(view, tiles * views(), work);
  if (token_resampler_) total += token_resampler_->cost(num_windows_ * resampler_->num_tokens(view), tiles, work);
  return total;
}

}  // namespace ocelli::connector
