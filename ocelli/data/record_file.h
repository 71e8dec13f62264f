#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/file.h"

namespace ocelli::data {

/// The texts of the top-level values of a JSON array, or of the non-empty lines. Throws Error naming `origin` when the text is
/// neither.
std::vector<std::string_view> split_records(std::string_view text, const std::string& origin);

/// A file of JSON records, one array or one object a line (JSONL), indexed when opened and parsed when asked for. Up to 256 MiB
/// it is read, so that it may be edited meanwhile; a larger one is mapped and must not be cut.
class RecordFile {
 public:
  /// Throws Error when it can't be read or holds no record; `name` is the data set's, for that message.
  RecordFile(const std::filesystem::path& path, const std::string& name);
  int64_t size() const { return static_cast<int64_t>(records_.size()); }
  std::string_view text(int64_t index) const { return records_[static_cast<size_t>(index)]; }

 private:
  std::shared_ptr<const std::string> text_;  ///< of a smaller file …
  std::shared_ptr<const MappedFile> map_;    ///< … of a larger one
  std::vector<std::string_view> records_;    ///< inside one of the two
};

}  // namespace ocelli::data
