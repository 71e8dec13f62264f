#pragma once

#include <optional>
#include <string_view>

#include "ocelli/base/json.h"
#include "ocelli/model/image_processor.h"

namespace ocelli::model {

// Preprocessing tables of transformers' newer processors: LLaVA-OneVision, Qwen2-VL and Qwen2.5-VL, Idefics3 and SmolVLM.

/// Reads a table of one of those `image_processor_type`s; nullopt for another type. Throws Error naming key, value and what would
/// be right.
std::optional<ImageProcessor> read_tiled_processor(const JsonView& config);
/// What read_tiled_processor() and transformers read back; nullopt for a table of another kind.
std::optional<Json> write_tiled_processor(const ImageProcessor& images);

}  // namespace ocelli::model
