#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/data/file_text.h"

namespace ocelli::data {

/// Whether JSON takes it for space between values.
constexpr bool is_json_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/// The texts of the top-level values of a JSON array, or of the non-empty lines. Throws Error naming `origin` when the text is
/// neither.
std::vector<std::string_view> split_records(std::string_view text, const std::string& origin);

/// A file of JSON records, one array or one object a line (JSONL), indexed when opened and parsed when asked for.
class RecordFile {
 public:
  /// Throws Error when it can't be read or holds no record; `name` is the data set's, for that message.
  RecordFile(const std::filesystem::path& path, const std::string& name);
  int64_t size() const { return static_cast<int64_t>(records_.size()); }
  std::string_view text(int64_t index) const { return records_[static_cast<size_t>(index)]; }
  /// "a.jsonl, record 3".
  std::string where(int64_t index) const { return fmt::format("{}, record {}", text_.name(), index); }
  /// The record, parsed. Throws Error starting with where() when it is no object.
  Json object(int64_t index) const;

 private:
  FileText text_;
  std::vector<std::string_view> records_;  ///< inside the text
};

}  // namespace ocelli::data
