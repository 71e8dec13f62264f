#pragma once

#include <map>
#include <memory>
#include <string>

#include "ocelli/data/mixture.h"
#include "ocelli/train/recipe.h"

namespace ocelli::train {

/// Data sets by the name recipes call them.
using Sources = std::map<std::string, std::shared_ptr<const data::Dataset>>;

/// Opens every [[data]] of the recipe, its questions filtered where the recipe asks for some types only.
Sources open_sources(const Recipe& recipe);

/// What a stage draws from, with the passes an epoch makes over each source. Throws Error when its portions can't be.
std::vector<data::Mixture::Source> mixture_sources(const StageRecipe& stage, const Sources& sources);

}  // namespace ocelli::train
