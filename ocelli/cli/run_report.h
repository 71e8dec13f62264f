#pragma once

#include <filesystem>

namespace ocelli::cli {

/// Writes `RUN/report.html`, self-contained, from what the run's folder holds: loss curve and rates (metrics.jsonl), what it cost
/// and where the time went (the newest checkpoint's state.json, the model's configuration), broken samples (faults.jsonl), the
/// recipe, and of every `eval-*` folder in it accuracy by question type and pictures with question, answer and truth. Throws
/// Error when no step has been taken yet.
void write_run_report(const std::filesystem::path& run);

}  // namespace ocelli::cli
