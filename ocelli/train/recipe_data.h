#pragma once

#include <map>
#include <string>
#include <vector>

#include "ocelli/train/recipe.h"
#include "ocelli/train/toml_reader.h"

namespace ocelli::train {

// How a recipe names its data: [[data]] tables, and what a stage takes of them. What is written reads back to the same.

/// One [[data]]. Throws UsageError naming the key and where it stands.
DataRecipe read_source(TableReader& table);
OrderedJson source_json(const DataRecipe& source);

/// `data` of a stage: a list of names, each with its portion behind it where it has one of its own here ("vqa#500"), or a table
/// of names and portions. All sources where it is absent.
std::map<std::string, data::Portion> read_stage_data(TableReader& table, const std::vector<DataRecipe>& sources);
Json stage_data_json(const std::map<std::string, data::Portion>& portions);

}  // namespace ocelli::train
