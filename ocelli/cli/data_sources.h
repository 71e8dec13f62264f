#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ocelli/cli/data_verbs.h"
#include "ocelli/data/dataset.h"
#include "ocelli/model/processor.h"
#include "ocelli/train/recipe.h"

namespace ocelli::cli {

/// What a sub-verb of `ocelli data` looks at: one data set, or the sources of a recipe (SRC ends in .toml).
struct Sources {
  std::vector<std::shared_ptr<const data::Dataset>> all;
  std::optional<train::Recipe> recipe;

  int64_t samples() const;
};
/// Throws UsageError when options of a single data set are given beside a recipe.
Sources open_sources(SourceOptions options);

/// The tokenizer of a model folder (or cached org/name); null for an empty name. Throws Error when the folder has none.
std::shared_ptr<const text::Tokenizer> open_tokenizer(const std::string& path_or_name);

/// -t as given, else what this process may use.
int worker_threads(int asked);

}  // namespace ocelli::cli
