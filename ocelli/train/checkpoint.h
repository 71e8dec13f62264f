#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/model/model.h"
#include "ocelli/model/processor.h"
#include "ocelli/train/optimizer.h"

namespace ocelli::train {

/// Where the wall time of a run went, in seconds.
struct TimeSpent {
  double waiting = 0;  ///< for the loader
  double vision = 0;   ///< forward through tower and connector
  double decoder = 0;  ///< forward through embedding, decoder and loss
  double backward = 0;
  double optimizer = 0;
  double checkpoints = 0;

  double total() const { return waiting + vision + decoder + backward + optimizer + checkpoints; }
};

/// Where a run stands, beside weights and moments.
struct RunState {
  int64_t step = 0;        ///< optimizer steps over all stages
  int64_t stage = 0;       ///< index
  int64_t stage_step = 0;  ///< steps of that stage
  int64_t position = 0;    ///< next draw of the stage's mixture
  int64_t optimizer_steps = 0;
  int64_t drawn = 0;                              ///< samples asked for, over all stages …
  int64_t faults = 0;                             ///< … and of those the broken ones
  int64_t tokens = 0, samples = 0, pictures = 0;  ///< seen so far
  double flops = 0;                               ///< spent so far, by the cost ledger
  double seconds = 0;                             ///< of training so far, over all starts …
  TimeSpent time;                                 ///< … and where they went
  std::vector<double> recent_losses;              ///< of the last steps, at most kRecentLosses
  int64_t peak_tensor_bytes = 0;                  ///< over all starts

  static constexpr size_t kRecentLosses = 50;
  /// Mean of recent_losses; 0 without.
  double recent_loss() const;

  Json to_json() const;
  static RunState from_json(const JsonView& json);
};

/// A folder `checkpoints/step-N`: a model that chat and transformers' tools open, `optimizer.safetensors`, `state.json`, and
/// `manifest.json` with size and XXH3 hash of each file. It appears complete or not at all: files are written and synced in
/// `step-N.tmp-<pid>`, then the folder is renamed. Only then older ones go, of which `keep` stay, and any newer one: it is
/// damaged, or of a run that went another way from an earlier step.
/// The model's weights are written from `masters` where these have them.
void write_checkpoint(const std::filesystem::path& run, const model::Model& model, const model::Processor& processor,
                      const Masters& masters, const Optimizer& optimizer, const RunState& state, int64_t keep);

/// Removes what killed runs left half-written or half-removed, of checkpoints and of the model's folder.
void sweep(const std::filesystem::path& run);

/// The newest checkpoint whose manifest holds, with a warning for each newer one passed over and why.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& run);

/// Throws Error naming the file that is missing or differs from the manifest.
void verify_checkpoint(const std::filesystem::path& checkpoint);

RunState read_state(const std::filesystem::path& checkpoint);
/// Moments into `optimizer`.
void restore_optimizer(const std::filesystem::path& checkpoint, Optimizer& optimizer, const RunState& state);

/// The model with its fp32 weights where `masters` has them, as a folder; replaces an earlier one in one step.
void write_model_folder(const std::filesystem::path& folder, const model::Model& model, const model::Processor& processor,
                        const Masters& masters);

}  // namespace ocelli::train
