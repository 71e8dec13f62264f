#pragma once

#include <string>

#include "ocelli/cli/verbs.h"
#include "ocelli/data/dataset.h"

namespace ocelli::cli {

/// What every sub-verb of `ocelli data` that reads a data set takes beside its path.
struct SourceOptions {
  data::DatasetOptions data;
  /// Adds the positional SRC and --format, --images, --annotations, --split, --prompts.
  void add_to(CLI::App& verb, const std::string& format_flag = "--format");
  std::shared_ptr<const data::Dataset> open();
};

/// Each adds its sub-verb to `ocelli data`. One file a sub-verb.
void add_data_convert(CLI::App& data, Action& action);
void add_data_bench(CLI::App& data, Action& action);
void add_data_check(CLI::App& data, Action& action);
void add_data_stats(CLI::App& data, Action& action);
void add_data_preview(CLI::App& data, Action& action);
void add_data_filter(CLI::App& data, Action& action);

}  // namespace ocelli::cli
