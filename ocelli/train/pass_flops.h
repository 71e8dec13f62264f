#pragma once

#include <memory>
#include <span>

#include "ocelli/data/batch.h"
#include "ocelli/model/model.h"
#include "ocelli/train/recipe.h"

namespace ocelli::train {

/// FLOPs of one pass forward and backward, by the cost ledger.
double pass_flops(model::Model& model, const data::Batch& batch,
                  std::span<const std::shared_ptr<const data::EncodedSample>> samples, const StageRecipe& stage);

}  // namespace ocelli::train
