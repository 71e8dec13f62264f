#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "ocelli/base/json.h"
#include "ocelli/model/model.h"
#include "ocelli/model/processor.h"
#include "ocelli/train/optimizer.h"

namespace ocelli::train {

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
  double seconds = 0;                             ///< of training so far, over all starts

  Json to_json() const;
  static RunState from_json(const JsonView& json);
};

/// A folder `checkpoints/step-N`: a model that chat and transformers' tools open, `optimizer.safetensors`, `state.json`, and
/// `manifest.json` with size and XXH3 hash of each file. It appears complete or not at all: files are written and synced in
/// `step-N.tmp-<pid>`, then the folder is renamed. Only then older ones go, of which `keep` stay, and any newer one: it is
/// damaged, or of a run that went another way from an earlier step.
void write_checkpoint(const std::filesystem::path& run, const model::Model& model, const model::Processor& processor,
                      const Optimizer& optimizer, const RunState& state, int64_t keep);

/// The newest checkpoint whose manifest holds, with a warning for each newer one passed over and why. Removes what killed runs
/// left half-written.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& run);

/// Throws Error naming the file that is missing or differs from the manifest.
void verify_checkpoint(const std::filesystem::path& checkpoint);

RunState read_state(const std::filesystem::path& checkpoint);
/// Weights into `model`, moments into `optimizer`. Frozen weights are read as well.
void restore_model(const std::filesystem::path& checkpoint, model::Model& model);
void restore_optimizer(const std::filesystem::path& checkpoint, Optimizer& optimizer, const RunState& state);

/// The model with its fp32 weights where the optimizer holds them, as a folder; replaces an earlier one in one step.
void write_model_folder(const std::filesystem::path& folder, const model::Model& model, const model::Processor& processor,
                        const Optimizer* optimizer);

}  // namespace ocelli::train
