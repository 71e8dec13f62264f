#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "ocelli/base/json.h"
#include "ocelli/report/metrics.h"
#include "ocelli/report/tensorboard.h"

namespace ocelli::train {

/// The folder of one run, held by one process at a time: recipe.toml, env.json, metrics.jsonl, TensorBoard events, faults.jsonl.
class RunFolder {
 public:
  /// Makes the folder where needed and locks it. Throws Error when another process holds it or it can't be written.
  explicit RunFolder(std::filesystem::path path);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The recipe of the run that was started here, empty when none was.
  std::string stored_recipe() const;
  void store_recipe(const std::string& toml);
  void store_environment(const Json& environment);

  /// Cuts metrics, events and faults back to `step` and opens them to go on.
  void open_logs(int64_t step);
  report::JsonLines& metrics() { return *metrics_; }
  report::JsonLines& faults() { return *faults_; }
  report::EventWriter& events() { return *events_; }

 private:
  std::filesystem::path path_;
  int lock_ = -1;
  std::unique_ptr<report::JsonLines> metrics_, faults_;
  std::unique_ptr<report::EventWriter> events_;
};

}  // namespace ocelli::train
