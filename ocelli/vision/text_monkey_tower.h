#pragma once

#include <memory>
#include <vector>

#include "ocelli/vision/vision_tower.h"
#include "ocelli/vision/vision_transformer.h"
#include "ocelli/vision/window_adapter.h"

namespace ocelli::vision {

/// TextMonkey's tower: a picture of one size is cut into square windows, each a view of the same transformer, which exchange
/// features through shifted-window adapters before some of its blocks; one more view shows the whole picture, made from the
/// normalised pixels by torch's bicubic filter (a = -0.75, not antialiased), and passes no adapter. Settings are VisionConfig's
/// `windows`; the transformer is what the rest of the config says. Source: TextMonkey, arXiv:2403.04473; Monkey's
/// text_monkey/visual_text.py.
class TextMonkeyTower final : public VisionTower {
 public:
  explicit TextMonkeyTower(const VisionConfig& config);

  /// pixels: [N, 3, height, width] of the configured size. Returns the views' maps one below the other: windows row by row, then
  /// the whole picture, [N, views * P, D].
  nn::VisualFeatures forward(const at::Tensor& pixels, nn::RunContext& context) override;
  image::Grid grid(int64_t height, int64_t width) const override;
  int64_t feature_width() const override { return trunk_->feature_width(); }
  Cost cost(const Workload& work) const override;

  /// The whole picture as one view: [N, 3, window, window] pixels.
  at::Tensor global_pixels(const at::Tensor& pixels) const;

 private:
  int64_t views() const { return windows_.count() + (config_.windows.global_view ? 1 : 0); }
  /// Runs an adapter over the windows of x [N * views * P, D].
  at::Tensor adapt(const WindowAdapter& adapter, const at::Tensor& x, int64_t pictures) const;

  VisionConfig config_;
  int64_t side_;         ///< pixels of a view
  image::Grid windows_;  ///< of a picture
  std::shared_ptr<VisionTransformer> trunk_;
  std::vector<std::shared_ptr<WindowAdapter>> adapters_;
};

}  // namespace ocelli::vision
