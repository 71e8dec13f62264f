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

/// Adds -t for verbs that run no model; 0 stays for "as many as there are cores", see worker_threads().
void add_worker_threads(CLI::App& verb, int& threads);

/// Makes `run` the action when `verb` was asked for; the first interrupt is then told by interrupted().
void set_watched_action(CLI::App& verb, Action& action, Action run);

/// Each adds its sub-verb to `ocelli data`. One file a sub-verb.
void add_data_convert(CLI::App& data, Action& action);
void add_data_bench(CLI::App& data, Action& action);
void add_data_check(CLI::App& data, Action& action);
void add_data_stats(CLI::App& data, Action& action);
void add_data_preview(CLI::App& data, Action& action);
void add_data_filter(CLI::App& data, Action& action);

}  // namespace ocelli::cli
