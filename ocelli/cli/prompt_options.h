#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "ocelli/cli/common.h"

namespace ocelli::cli {

/// A prompt as ids.
struct Prompt {
  std::vector<int64_t> ids;              ///< visual tokens in place (visual_ids.h)
  std::vector<int64_t> instruction_ids;  ///< the question in a Q-Former's own vocabulary; empty where none reads it
  at::Tensor boxes;                      ///< [B, 4] in [0, 1] of the one picture's padded square; undefined without
  std::vector<int64_t> decoder_ids;      ///< what an encoder-decoder's decoder is given; empty for another model
};

/// How a verb is given its prompt: -p, --prompt-file or --input-ids, with --image and --raw.
struct PromptOptions {
  std::vector<std::string> images;
  std::string text, file, ids_file;
  bool raw = false;

  void add_to(CLI::App& verb, bool with_ids);
  bool given() const { return !text.empty() || !file.empty() || !ids_file.empty(); }
  /// The prompt for these pictures. Throws Error when placeholders and pictures differ in number, an id lies outside the
  /// vocabulary, or ids are given that the model has no use for.
  Prompt read(const LoadedModel& loaded, const std::vector<model::PixelTiles>& pictures) const;
};

}  // namespace ocelli::cli
