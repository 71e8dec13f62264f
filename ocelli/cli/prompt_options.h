#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "ocelli/cli/common.h"

namespace ocelli::cli {

/// How a verb is given its prompt: -p, --prompt-file or --input-ids, with --image and --raw.
struct PromptOptions {
  std::vector<std::string> images;
  std::string text, file, ids_file;
  bool raw = false;

  void add_to(CLI::App& verb, bool with_ids);
  bool given() const { return !text.empty() || !file.empty() || !ids_file.empty(); }
  /// Expanded ids of the prompt for these pictures. Throws Error when placeholders and pictures differ in number, or an id lies
  /// outside the vocabulary.
  std::vector<int64_t> ids(const LoadedModel& loaded, const std::vector<model::PixelTiles>& pictures) const;
};

}  // namespace ocelli::cli
