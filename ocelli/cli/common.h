#pragma once

#include <ATen/core/ScalarType.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/model/model.h"
#include "ocelli/model/processor.h"

namespace ocelli::cli {

/// What every verb that runs a model takes.
struct RunOptions {
  std::string device = "cpu";      ///< --device; there is no other yet
  std::string precision = "auto";  ///< --precision fp32|bf16|auto
  int threads = 0;                 ///< -t; 0: OMP_NUM_THREADS, else the cores this process may use

  void add_to(CLI::App& verb, const std::string& default_precision = "auto");
  /// Sets the thread count of LibTorch. Throws UsageError for a device this build doesn't have.
  void apply() const;
  at::ScalarType dtype() const;
};

struct LoadedModel {
  std::shared_ptr<model::Model> model;
  std::shared_ptr<const model::Processor> processor;
};
/// Opens a model folder (or cached org/name) to run it.
LoadedModel open_model(const std::string& path_or_name, const RunOptions& options);

/// Reads and prepares pictures in order. Throws Error naming the file.
std::vector<model::PixelTiles> read_pictures(const model::Processor& processor, const std::vector<std::string>& files);

/// Visual tokens of each picture.
std::vector<int64_t> visual_counts(const model::Model& model, const std::vector<model::PixelTiles>& pictures);

/// How each picture is cut.
std::vector<image::Tiling> tilings_of(const std::vector<model::PixelTiles>& pictures);

/// One user message with that many pictures in front of the text.
OrderedJson user_message(const std::string& text, size_t pictures);

/// One line of JSON on stdout.
void print_json(const OrderedJson& json);

/// Set by the first SIGINT or SIGTERM; a second one ends the process at once.
const std::atomic<bool>& interrupted();
/// Installs the handlers interrupted() needs.
void watch_interrupts();
/// From here on the first signal ends the process at once, with 130 or 143: nothing is left to be saved.
void end_at_interrupts();

/// An option that may be given again and again, one value each time: what stands behind it is the next argument.
CLI::Option* add_repeatable(CLI::App& verb, const std::string& name, std::vector<std::string>& into, const std::string& help);

/// Throws Error when anything written to stdout did not get there (a full disk).
void finish_stdout();

}  // namespace ocelli::cli
