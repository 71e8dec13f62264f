#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/data/file_text.h"

namespace ocelli::data {

/// The most bytes a cell may have: a picture in base64 fits well.
inline constexpr uint64_t kMostCellBytes = 64ULL << 20;

/// How cells of a table are told apart.
struct TableForm {
  char separator = '\t';
  bool quotes = true;  ///< cells in double quotes may hold separators and line ends, a quote itself is written twice
};

/// The cells of one row. Those without quotes point into the table's file.
class TableRow {
 public:
  size_t size() const { return cells_.size(); }
  std::string_view operator[](size_t column) const { return cells_[column]; }

 private:
  friend class TableRows;
  std::vector<std::string_view> cells_;
  std::deque<std::string> unquoted_;
};

/// Rows of a file of separated values, found in one scan when it is opened and cut into cells when asked for. Rows end with "\n"
/// or
/// "\r\n", empty lines don't count; quoting is RFC 4180's, as Python's csv and pandas write it.
class TableRows {
 public:
  /// Throws Error naming the file and the byte: a quote that isn't closed, a cell of more than kMostCellBytes.
  explicit TableRows(const std::filesystem::path& path, TableForm form = {});

  int64_t size() const { return static_cast<int64_t>(starts_.size()); }
  /// Throws Error naming the row: text behind a closing quote, a cell that isn't UTF-8 or holds a NUL.
  TableRow row(int64_t index) const;
  /// The row's cell of `column` alone, as fast as that can be had: other cells aren't checked. Empty when the row is shorter.
  std::string cell(int64_t index, size_t column) const;
  /// Where the row begins in the file.
  uint64_t start(int64_t index) const { return starts_[static_cast<size_t>(index)]; }
  const FileText& file() const { return file_; }
  /// "x.tsv, row 3 (byte 1234)".
  std::string where(int64_t index) const;

 private:
  size_t row_end(size_t start) const;
  FileText file_;
  TableForm form_;
  std::vector<uint64_t> starts_;
};

/// Rows below a first one that names the columns.
class NamedTable {
 public:
  /// Throws Error as TableRows does, and for a file without rows or with a column named twice.
  explicit NamedTable(const std::filesystem::path& path, TableForm form = {});

  int64_t size() const { return rows_.size() - 1; }
  const std::vector<std::string>& columns() const { return columns_; }
  std::optional<size_t> find(std::string_view column) const;
  /// Throws Error naming the columns there are.
  size_t column(std::string_view name) const;
  /// Throws Error as TableRows does, and when the row has another number of cells than there are columns.
  TableRow row(int64_t index) const;
  std::string cell(int64_t index, size_t column) const { return rows_.cell(index + 1, column); }
  std::string where(int64_t index) const { return rows_.where(index + 1); }
  const FileText& file() const { return rows_.file(); }

 private:
  TableRows rows_;
  std::vector<std::string> columns_;
};

/// A cell as it is written: in quotes where it must be.
std::string quoted_cell(std::string_view text, char separator = '\t');

}  // namespace ocelli::data
