#pragma once

#include <memory>
#include <optional>

#include "ocelli/connector/connector.h"
#include "ocelli/connector/resampler.h"
#include "ocelli/connector/token_resampler.h"

namespace ocelli::connector {

/// TextMonkey's connector: the views of a picture (windows, then the whole) go through one Resampler each; the windows' tokens,
/// one window behind the other, through the TokenResampler; the global view's tokens follow. Takes what TextMonkeyTower gives:
/// the views' maps one below the other, so a grid of views * rows x columns. Source: TextMonkey, arXiv:2403.04473; Monkey's
/// text_monkey/visual_text.py.
class WindowResampler final : public Connector {
 public:
  explicit WindowResampler(const WindowResamplerConfig& config);

  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  /// Throws Error when the grid's rows are no multiple of the views.
  int64_t num_tokens(image::Grid grid) const override;
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override;

 private:
  int64_t views() const { return num_windows_ + (global_view_ ? 1 : 0); }
  image::Grid view_grid(image::Grid grid) const;

  int64_t num_windows_;
  bool global_view_;
  std::shared_ptr<Resampler> resampler_;
  std::shared_ptr<TokenResampler> token_resampler_;  ///< null without
};

}  // namespace ocelli::connector
