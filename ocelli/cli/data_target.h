#pragma once

#include <memory>
#include <string>

#include "ocelli/cli/verbs.h"
#include "ocelli/data/dataset.h"

namespace ocelli::cli {

/// Where a sub-verb of `ocelli data` that writes a data set puts it, and in which format.
struct TargetOptions {
  data::WriterOptions writer;
  std::string to;

  /// Adds the positional `target`, --to, --out-images and --shard-samples.
  void add_to(CLI::App& verb);
  /// Throws UsageError: the target is the source, the format is read only, or has no place for an option that is given.
  const data::Format& format(const std::filesystem::path& source) const;
  /// Opens the target, its folder made when it isn't there.
  std::unique_ptr<data::SampleWriter> open(const data::Format& format) const;
};

}  // namespace ocelli::cli
