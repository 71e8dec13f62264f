#include "ocelli/data/table_rows.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "ocelli/base/error.h"
#include "ocelli/text/utf8.h"

namespace ocelli::data {
namespace {

/// A cell that starts at `start`: where it ends, and whether it was in quotes.
struct CellEnd {
  size_t end = 0;   ///< of what it says; of a quoted one: its closing quote
  size_t next = 0;  ///< the separator, the line's end or the text's
  bool quoted = false;
  bool escaped = false;  ///< it holds quotes written twice
};

/// The separator or line end from `at` on, or the first byte too many for a cell.
size_t find_end(std::string_view text, size_t at, char separator) {
  const size_t last = at + std::min<uint64_t>(text.size() - at, kMostCellBytes + 1);
  while (at < last && text[at] != separator && text[at] != '\n') ++at;
  return at;
}

CellEnd find_cell_end(std::string_view text, size_t start, TableForm form, const std::string& file) {
  CellEnd out;
  if (!form.quotes || start == text.size() || text[start] != '"') {
    out.next = find_end(text, start, form.separator);
    out.end = out.next;
    if (out.end > start && text[out.end - 1] == '\r' && (out.next == text.size() || text[out.next] == '\n')) --out.end;
    return out;
  }
  out.quoted = true;
  for (size_t at = start + 1;; ++at) {
    const size_t most =
        std::min<size_t>(text.size() - at, kMostCellBytes - std::min<uint64_t>(kMostCellBytes, at - start - 1) + 1);
    const auto* quote = static_cast<const char*>(std::memchr(text.data() + at, '"', most));
    if (!quote) {
      require(at + most == text.size(), "{}: byte {}: a cell of more than {} bytes; is its quote closed?", file, start,
              kMostCellBytes);
      fail("{}: byte {}: a quote that is opened, but not closed", file, start);
    }
    at = static_cast<size_t>(quote - text.data());
    if (at + 1 < text.size() && text[at + 1] == '"') {
      out.escaped = true;
      ++at;
      continue;
    }
    out.end = at;
    out.next = at + 1;
    if (out.next < text.size() && text[out.next] == '\r') ++out.next;
    return out;
  }
}

/// What a cell in quotes says, quotes written twice made one.
std::string unescaped(std::string_view value) {
  std::string plain;
  plain.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    plain += value[i];
    if (value[i] == '"') ++i;
  }
  return plain;
}

}  // namespace

TableRows::TableRows(const std::filesystem::path& path, TableForm form) : file_(path), form_(form) {
  const std::string_view text = file_.text();
  for (size_t at = 0; at < text.size();) {
    const size_t end = row_end(at);
    const std::string_view line = text.substr(at, end - at);
    if (!line.empty() && line != "\r") starts_.push_back(at);
    at = end + 1;
  }
}

size_t TableRows::row_end(size_t start) const {
  const std::string_view text = file_.text();
  const std::string_view most = text.substr(start, kMostCellBytes);
  const std::string_view line = most.substr(0, most.find('\n'));
  // Most rows hold no quote: then the line is the row, and memchr finds both at the speed of memory.
  const size_t line_end = start + line.size();
  const bool whole = line_end == text.size() || text[line_end] == '\n';
  if (whole && (!form_.quotes || line.find('"') == std::string_view::npos)) return line_end;
  for (size_t at = start;;) {
    const CellEnd cell = find_cell_end(text, at, form_, file_.name());
    require(cell.end - at <= kMostCellBytes, "{}: byte {}: a cell of more than {} bytes", file_.name(), at, kMostCellBytes);
    at = cell.next;
    if (at < text.size() && text[at] != '\n' && text[at] != form_.separator) at = find_end(text, at, form_.separator);
    if (at == text.size() || text[at] == '\n') return at;
    ++at;
  }
}

std::string TableRows::where(int64_t index) const {
  return fmt::format("{}, row {} (byte {})", file_.name(), index, start(index));
}

TableRow TableRows::row(int64_t index) const {
  const std::string_view text = file_.text();
  TableRow out;
  for (size_t at = start(index);;) {
    const CellEnd cell = find_cell_end(text, at, form_, file_.name());
    const bool last = cell.next == text.size() || text[cell.next] == '\n';
    require(last || text[cell.next] == form_.separator, "{}: column {}: text behind the closing quote at byte {}", where(index),
            out.size(), cell.end);
    const size_t first = cell.quoted ? at + 1 : at;
    std::string_view value = text.substr(first, cell.end - first);
    if (cell.escaped) value = out.unquoted_.emplace_back(unescaped(value));
    require(value.find('\0') == std::string_view::npos && text::is_valid_utf8(value),
            "{}: column {}: the text isn't UTF-8, or holds a NUL; save the table as UTF-8", where(index), out.size());
    out.cells_.push_back(value);
    if (last) return out;
    at = cell.next + 1;
  }
}

std::string TableRows::cell(int64_t index, size_t column) const {
  const std::string_view text = file_.text();
  for (size_t at = start(index);; --column) {
    const CellEnd cell = find_cell_end(text, at, form_, file_.name());
    if (column == 0) {
      const size_t first = cell.quoted ? at + 1 : at;
      const std::string_view value = text.substr(first, cell.end - first);
      return cell.escaped ? unescaped(value) : std::string(value);
    }
    if (cell.next >= text.size() || text[cell.next] != form_.separator) return "";
    at = cell.next + 1;
  }
}

NamedTable::NamedTable(const std::filesystem::path& path, TableForm form) : rows_(path, form) {
  require(rows_.size() > 1, "{}: the table has no row below the names of its columns", rows_.file().name());
  const TableRow names = rows_.row(0);
  for (size_t i = 0; i < names.size(); ++i) {
    require(!find(names[i]), "{}: column \"{}\" is there twice", rows_.file().name(), names[i]);
    columns_.emplace_back(names[i]);
  }
}

std::optional<size_t> NamedTable::find(std::string_view column) const {
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  if (found == columns_.end()) return std::nullopt;
  return static_cast<size_t>(found - columns_.begin());
}

size_t NamedTable::column(std::string_view name) const {
  const auto found = find(name);
  require(found.has_value(), "{}: there is no column \"{}\"; there are {}", rows_.file().name(), name,
          fmt::join(std::vector<std::string>(
                        columns_.begin(), columns_.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(columns_.size(), 30))),
                    ", "));
  return *found;
}

TableRow NamedTable::row(int64_t index) const {
  TableRow row = rows_.row(index + 1);
  require(row.size() == columns_.size(), "{}: {} cells, but there are {} columns", where(index), row.size(), columns_.size());
  return row;
}

std::string quoted_cell(std::string_view text, char separator) {
  const bool plain = text.find_first_of("\"\r\n") == std::string_view::npos && text.find(separator) == std::string_view::npos;
  if (plain) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    out += c;
    if (c == '"') out += c;
  }
  return out + '"';
}

}  // namespace ocelli::data
