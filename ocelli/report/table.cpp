#include "ocelli/report/table.h"

#include <algorithm>

#include "ocelli/base/error.h"

namespace ocelli::report {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// "12", "-0.3", "1.20 G", "97.3 %", "3×": digits lead, so that a name with digits inside stays left.
bool looks_numeric(std::string_view cell) {
  if (cell.starts_with('-') || cell.starts_with('+')) cell.remove_prefix(1);
  if (cell.starts_with('.')) cell.remove_prefix(1);
  if (cell.empty() || !is_digit(cell[0])) return false;
  // A unit may follow, one short word; anything longer is a sentence.
  const size_t space = cell.find(' ');
  if (space == std::string_view::npos) return cell.find_first_not_of("0123456789.,eE+-%×x") == std::string_view::npos;
  return cell.size() - space <= 12;
}

bool is_absent(std::string_view cell) {
  return cell.empty() || cell == "-" || cell == "–" || cell == "—";
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return text;
}

void append_padded(std::string& out, const std::string& cell, int width, Align align, bool last) {
  const std::string space(static_cast<size_t>(std::max(0, width - display_width(cell))), ' ');
  if (align == Align::kRight) out += space;
  out += cell;
  if (align == Align::kLeft && !last) out += space;  // no spaces at the end of a line
}

}  // namespace

void Table::add_row(std::vector<std::string> cells) {
  add(std::move(cells), false);
}
void Table::add_total(std::vector<std::string> cells) {
  add(std::move(cells), true);
}

void Table::add(std::vector<std::string> cells, bool total) {
  require(cells.size() == header_.size(), "table: a row of {} cells, expected {} as in the header", cells.size(), header_.size());
  rows_.push_back({std::move(cells), total});
}

void Table::set_align(size_t column, Align align) {
  require(column < header_.size(), "table: column {} of {}", column, header_.size());
  told_[column] = align;
}

Align Table::align(size_t column) const {
  if (told_[column]) return *told_[column];
  bool numeric = false;
  for (const Row& row : rows_) {
    if (is_absent(row.cells[column])) continue;
    if (!looks_numeric(row.cells[column])) return Align::kLeft;
    numeric = true;
  }
  return numeric ? Align::kRight : Align::kLeft;
}

std::string Table::text() const {
  std::vector<int> widths;
  for (size_t column = 0; column < header_.size(); ++column) {
    int width = display_width(one_line(header_[column]));
    for (const Row& row : rows_) width = std::max(width, display_width(one_line(row.cells[column])));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    for (size_t column = 0; column < cells.size(); ++column) {
      if (column > 0) out += "  ";
      append_padded(out, one_line(cells[column]), widths[column], align(column), column + 1 == cells.size());
    }
    out += '\n';
  };
  const auto rule = [&] {
    for (size_t column = 0; column < widths.size(); ++column) {
      if (column > 0) out += "  ";
      for (int i = 0; i < widths[column]; ++i) out += "─";
    }
    out += '\n';
  };
  line(header_);
  rule();
  for (const Row& row : rows_) {
    if (row.total) rule();
    line(row.cells);
  }
  return out;
}

std::string Table::markdown() const {
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells, bool bold) {
    out += '|';
    for (const std::string& cell : cells) {
      std::string escaped;
      for (const char c : one_line(cell)) {
        if (c == '|') escaped += '\\';
        escaped += c;
      }
      out += bold && !escaped.empty() ? fmt::format(" **{}** |", escaped) : fmt::format(" {} |", escaped);
    }
    out += '\n';
  };
  line(header_, false);
  out += '|';
  for (size_t column = 0; column < header_.size(); ++column) out += align(column) == Align::kRight ? " ---: |" : " --- |";
  out += '\n';
  for (const Row& row : rows_) line(row.cells, row.total);
  return out;
}

}  // namespace ocelli::report
