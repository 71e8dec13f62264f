#include "ocelli/vision/vision_tower.h"

#include <ATen/ATen.h>

#include "ocelli/vision/convnext.h"
#include "ocelli/vision/qwen2_vision.h"
#include "ocelli/vision/sam_tower.h"
#include "ocelli/vision/text_monkey_tower.h"
#include "ocelli/vision/vision_transformer.h"

namespace ocelli::vision {

std::shared_ptr<VisionTower> make_vision_tower(const VisionConfig& config) {
  if (config.sam) return std::make_shared<SamTower>(*config.sam);
  if (config.convnext) return std::make_shared<ConvNextTower>(*config.convnext);
  if (config.qwen2) return std::make_shared<Qwen2Vision>(*config.qwen2);
  if (config.windows.window > 0) return std::make_shared<TextMonkeyTower>(config);
  return std::make_shared<VisionTransformer>(config);
}

at::Tensor normalised(const VisionConfig& config, const at::Tensor& pixels) {
  if (!config.input_norm) return pixels;
  const auto channels = [&](const std::array<float, 3>& values) {
    return at::tensor(at::ArrayRef<float>(values), pixels.options().dtype(at::kFloat)).view({3, 1, 1});
  };
  // In fp32 whatever the tower computes in: pixels were normalised before they were rounded.
  return ((pixels.to(at::kFloat) - channels(config.input_norm->mean)) / channels(config.input_norm->std))
      .to(pixels.scalar_type());
}

}  // namespace ocelli::vision
