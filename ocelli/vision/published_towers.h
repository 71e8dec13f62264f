#pragma once

#include <optional>

#include "ocelli/base/json.h"
#include "ocelli/vision/vision_config.h"

namespace ocelli::vision {

// Towers of other libraries that are settings of VisionTransformer, by the keys of their own configurations.

/// `internvl_vision`, `dinov2` and `blip_2_vision_model` of transformers, `intern_vit_6b` of InternVL's own code (any InternViT);
/// nullopt for another `model_type`. Positions are resized to any picture (bicubic). The features of DINOv2 and of BLIP-2's
/// tower go through the closing norm, as their last_hidden_state does. Throws Error naming key, value and what would be right.
std::optional<VisionConfig> read_published_tower(const JsonView& config);

/// The keys of transformers' InternVLVisionConfig. Throws Error for a tower they can't say.
Json internvl_vision_json(const VisionConfig& config);

}  // namespace ocelli::vision
