#include "ocelli/model/hf/names.h"

#include <array>
#include <utility>

namespace ocelli::model::hf {
namespace {

/// Published prefix and ours; the first that fits counts.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kPrefixes = {{
    {"model.vision_tower.vision_model.", "vision_tower."},
    {"model.vision_tower.", "vision_tower."},
    {"vision_tower.vision_model.", "vision_tower."},
    {"vision_tower.", "vision_tower."},
    {"vision_model.", "vision_tower."},
    {"model.multi_modal_projector.", "multi_modal_projector."},
    {"multi_modal_projector.", "multi_modal_projector."},
    {"model.language_model.", "language_model.model."},
    {"language_model.model.", "language_model.model."},
    {"language_model.lm_head.", "language_model.lm_head."},
    {"model.", "language_model.model."},
    {"lm_head.", "language_model.lm_head."},
}};

/// Parts of published checkpoints that take no part in the forward pass here.
constexpr std::array<std::string_view, 6> kUnused = {"text_model.",  "logit_scale",        "logit_bias",
                                                     "visual_projection.", "text_projection.", "vision_tower.head."};

}  // namespace

std::optional<std::string> our_name(std::string_view published) {
  for (const std::string_view prefix : kUnused) {
    if (published.starts_with(prefix)) return std::nullopt;
  }
  if (published.ends_with(".position_ids") || published.ends_with("rotary_emb.inv_freq")) return std::nullopt;
  for (const auto& [theirs, ours] : kPrefixes) {
    if (!published.starts_with(theirs)) continue;
    std::string name = std::string(ours) + std::string(published.substr(theirs.size()));
    if (name.starts_with("vision_tower.head.")) return std::nullopt;
    return name;
  }
  return std::string(published);
}

}  // namespace ocelli::model::hf
