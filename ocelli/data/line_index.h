#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/data/file_text.h"

namespace ocelli::data {

/// Lines of a file, found by the offsets in the `.lineidx` beside it, or by a scan where there is none.
class IndexedLines {
 public:
  /// Throws Error naming the index's line when it is no offset, isn't above the one before, or leads past the file's end.
  explicit IndexedLines(const std::filesystem::path& path);

  int64_t size() const { return static_cast<int64_t>(starts_.size()); }
  /// The line's cells. Throws Error when the index lies about it, or a cell has more than kMostCellBytes.
  std::vector<std::string_view> cells(int64_t index) const;
  /// "x.tsv, row 3 (byte 1234)".
  std::string where(int64_t index) const;
  const std::string& name() const { return file_.name(); }

 private:
  void read_index(const std::filesystem::path& path);
  void scan();
  FileText file_;
  std::string index_name_;  ///< empty: scanned
  std::vector<uint64_t> starts_;
};

/// Where a table's index lies: "x.lineidx" beside "x.tsv", or "x.tsv.lineidx" when that is there. Whether it exists isn't
/// checked.
std::filesystem::path line_index_of(const std::filesystem::path& table);

}  // namespace ocelli::data
