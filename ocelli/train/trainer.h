#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "ocelli/train/assemble.h"
#include "ocelli/train/checkpoint.h"
#include "ocelli/train/recipe.h"

namespace ocelli::train {

struct TrainOptions {
  std::filesystem::path out;    ///< run folder
  std::string resume = "auto";  ///< auto: go on from the newest checkpoint in `out`; never: start anew in an empty folder; else a
                                ///< checkpoint folder
  int64_t max_steps = 0;        ///< > 0: stop after this many steps in all, with a checkpoint
  const std::atomic<bool>* stop = nullptr;  ///< set: finish the step, write a checkpoint, return
};

struct TrainResult {
  RunState state;                     ///< counts, times and peak memory over all starts
  double last_loss = 0;               ///< mean over the last steps
  int64_t resident_before_bytes = 0;  ///< of the process, before data and model were opened …
  int64_t peak_resident_bytes = 0;    ///< … and at most
  bool finished = false;              ///< false: stopped by max_steps or a signal
  std::filesystem::path model;        ///< folder of the trained model, when finished
};

/// Runs a recipe to its end, or on from where an earlier run was stopped or killed: the losses that follow are those of an
/// undisturbed run, bit for bit (same binary, thread count, instruction set). Writes the run folder as docs/training.md
/// describes. Throws Error naming what stops it: another run in the folder, a changed recipe, too many broken samples, losses
/// that stay non-finite.
TrainResult train(const Recipe& recipe, const TrainOptions& options);

}  // namespace ocelli::train
