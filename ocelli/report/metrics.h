#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/report/append_file.h"

namespace ocelli::report {

/// Appends to a file of JSON objects, one a line. Each line is with the system when append returns: a killed process loses at
/// most the line it was writing. Numbers that aren't finite become null, bytes that are no UTF-8 U+FFFD.
class JsonLines {
 public:
  /// Continues the file or makes it. A torn last line is cut off first; a whole one that only lacks its line break gets it.
  explicit JsonLines(std::filesystem::path path);

  /// `line` is an object. Throws Error when it can't be written; the file then ends with the line before.
  void append(const OrderedJson& line);
  void append(const Json& line);
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  AppendFile file_;
};

/// The objects of a file, in order. A torn last line is passed over; any other line that is no JSON object is an Error naming
/// file and line.
std::vector<Json> read_json_lines(const std::filesystem::path& path);

/// Keeps the lines whose "step" is <= `step`, and those without a "step" (a header). The file is replaced atomically, only where
/// something goes. A torn last line goes; so does a damaged one in the middle, with a warning. Absent file: nothing to do.
void truncate_lines_after(const std::filesystem::path& path, int64_t step);

}  // namespace ocelli::report
