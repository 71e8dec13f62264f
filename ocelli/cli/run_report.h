#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ocelli/eval/task.h"
#include "ocelli/train/trainer.h"

namespace ocelli::cli {

/// One evaluated data set of a report.
struct ReportedScore {
  std::string name;  ///< "easy-VQA, test split"
  eval::EvalResult result;
  std::optional<eval::EvalResult> blind;  ///< the same with grey pictures
};

/// What a report shows beside what the run folder holds.
struct ReportExtras {
  std::vector<ReportedScore> scores;
  std::optional<train::TrainResult> training;  ///< of this process: where the time went
  int64_t pictures_shown = 12;                 ///< per data set
};

/// Writes `RUN/report.html` from metrics.jsonl, recipe.toml, env.json and faults.jsonl: loss curve, rates, costs, recipe; with
/// the extras also accuracy by question type and test pictures with question, answer and truth. Self-contained.
void write_run_report(const std::filesystem::path& run, const ReportExtras& extras);

}  // namespace ocelli::cli
