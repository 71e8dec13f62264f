#pragma once

#include <memory>

#include "ocelli/base/cost.h"
#include "ocelli/image/image.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::vision {

struct WindowAdapterConfig {
  int64_t width = 0;        ///< of the tower
  int64_t inner_width = 0;  ///< of the attention
  int64_t num_heads = 0;
  image::Grid grid;     ///< of the stored positions: patches of the whole picture
  int64_t window = 12;  ///< patches; windows are shifted by half of it
};

/// TextMonkey's shifted-window attention over the patches of a whole picture, as a branch beside the tower:
///
///   h  = downsample(x + position_embedding)
///   h += proj(window attention(norm1(h)))
///   x += scale * fc2(gelu(fc1(norm2(h))))
///
/// The map is rolled up and left by half a window, then filled with zeros at the bottom and right to whole windows. Scores within
/// a window get a learned bias for each relative place, and -100 between its regions: those borders lie on the filled map's last
/// rows and columns, not where the rolled ones begin, and the filled cells count as keys. Both are the original's. A side no
/// longer than a window is one window, not shifted. Layer norms have eps 1e-5; the branch starts at zero. Source: TextMonkey,
/// arXiv:2403.04473, section 3.2; Monkey's text_monkey/window.py; Liu et al., arXiv:2103.14030.
class WindowAdapter final : public nn::Module {
 public:
  explicit WindowAdapter(const WindowAdapterConfig& config);

  /// x: [N, rows * columns, D] in raster order over the configured grid. Returns the same.
  at::Tensor forward(const at::Tensor& x) const;

  /// `pictures` pictures.
  Cost cost(int64_t pictures, const Workload& work) const;

 private:
  /// [windows, H, A, A] with A cells a window: what is added to the scores.
  at::Tensor score_bias() const;
  image::Grid windows() const { return {padded_.rows / window_.rows, padded_.columns / window_.columns}; }

  WindowAdapterConfig config_;
  image::Grid window_, shift_, padded_;
  at::Tensor position_embedding_;  ///< [1, rows * columns, D]
  std::shared_ptr<nn::Linear> downsample_;
  std::shared_ptr<nn::LayerNorm> norm1_;
  std::shared_ptr<nn::Linear> qkv_, proj_;
  at::Tensor relative_position_bias_table_;  ///< [(2 h - 1) (2 w - 1), H] for windows of h x w
  std::shared_ptr<nn::LayerNorm> norm2_;
  std::shared_ptr<nn::Linear> fc1_, fc2_;
  at::Tensor scale_;  ///< [1]
};

}  // namespace ocelli::vision
