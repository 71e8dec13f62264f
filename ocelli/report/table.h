#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ocelli/report/format.h"

namespace ocelli::report {

enum class Align : uint8_t { kLeft, kRight };

/// Rows of text under a header, for the terminal, for Markdown and, through HtmlPage, for the page.
/// Columns whose every cell is a number (with or without a unit) are right-aligned, others left, unless told.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)), told_(header_.size()) {}

  /// Throws Error when the number of cells isn't the header's.
  void add_row(std::vector<std::string> cells);
  /// A row set apart as a sum: a line above it in text, bold elsewhere.
  void add_total(std::vector<std::string> cells);
  void set_align(size_t column, Align align);

  /// Columns two spaces apart, a rule under the header; line breaks in cells become spaces. Ends with a newline.
  std::string text() const;
  /// A Markdown table; `|` is escaped. Ends with a newline.
  std::string markdown() const;

  struct Row {
    std::vector<std::string> cells;
    bool total = false;
  };
  const std::vector<std::string>& header() const { return header_; }
  const std::vector<Row>& rows() const { return rows_; }
  Align align(size_t column) const;

 private:
  void add(std::vector<std::string> cells, bool total);
  std::vector<std::string> header_;
  std::vector<Row> rows_;
  std::vector<std::optional<Align>> told_;  ///< one a column
};

}  // namespace ocelli::report
