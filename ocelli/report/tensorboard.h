#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ocelli/report/append_file.h"

namespace ocelli::report {

/// Writes TensorBoard event files. A record is its length (u64), the length's masked CRC-32C, an `Event` message, and the
/// message's masked CRC-32C, little endian. Source: tensorflow/core/util/event.proto, framework/summary.proto,
/// lib/io/record_writer.cc.
class EventWriter {
 public:
  /// Makes the folder where needed and a new file in it, `events.out.tfevents.<seconds>.<host>.<pid>[.<n>]`, whose first record
  /// holds the version. Throws Error when it can't.
  explicit EventWriter(const std::filesystem::path& folder);
  /// Flushes; a failure there is logged.
  ~EventWriter();

  /// `wall_time` in seconds since 1970; default: now. Values are stored as fp32.
  void scalar(std::string_view tag, double value, int64_t step, std::optional<double> wall_time = {});
  /// Several values of one step as one record.
  void scalars(const std::vector<std::pair<std::string, double>>& values, int64_t step, std::optional<double> wall_time = {});
  /// Markdown text, shown under "Text".
  void text(std::string_view tag, std::string_view markdown, int64_t step, std::optional<double> wall_time = {});

  /// Hands everything to the system. Happens by itself every 64 KiB.
  void flush();
  const std::filesystem::path& path() const { return file_->path(); }

 private:
  void event(std::string_view summary, int64_t step, std::optional<double> wall_time);
  std::unique_ptr<AppendFile> file_;
  std::string pending_;
};

/// Cuts the event files in a folder back so that no event with a step above `step` remains (done on resume, before the new writer
/// opens its file). Files are replaced atomically, only where something goes; a torn or damaged end goes too, since readers stop
/// there; a file left without events is removed. Absent folder: nothing to do.
void truncate_events_after(const std::filesystem::path& folder, int64_t step);

}  // namespace ocelli::report
