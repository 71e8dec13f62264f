#include "ocelli/train/pass_flops.h"

#include <algorithm>

namespace ocelli::train {

double pass_flops(model::Model& model, const data::Batch& batch,
                  std::span<const std::shared_ptr<const data::EncodedSample>> samples, const StageRecipe& stage) {
  double flops = 0;
  // Forward by the ledger; a trained part costs twice that again in the backward pass, a frozen one that gradients pass through
  // once.
  Workload pictures;
  for (const image::Tiling& tiling : batch.inputs.pictures) {
    for (int64_t i = 0; i < tiling.count(); ++i) pictures.tiles.emplace_back(tiling.tile_height, tiling.tile_width);
  }
  if (model.has_pictures()) {
    const Ledger ledger = model.cost(pictures);
    for (const auto& [part, cost] : ledger.rows()) {
      if (part == "vision_tower") flops += cost.flops * (stage.trains("vision") ? 3 : 1);
      if (part == "connector") flops += cost.flops * (stage.trains("connector") ? 3 : stage.trains("vision") ? 2 : 1);
    }
  }
  const double decoder = stage.trains("decoder") ? 3 : 2;
  for (const auto& sample : samples) {
    Workload prefix;
    prefix.text_tokens = static_cast<int64_t>(sample->prefix.size());
    flops += decoder * model.decoder().cost(prefix).flops;
    for (const data::EncodedText& text : sample->continuations) {
      Workload work;
      work.cached_tokens = prefix.text_tokens;
      work.text_tokens = static_cast<int64_t>(text.ids.size());
      work.logit_rows = std::count(text.trained.begin(), text.trained.end(), true);
      flops += decoder * (model.decoder().cost(work).flops + model.decoder().head_cost(work).flops);
    }
  }
  return flops;
}

}  // namespace ocelli::train
