#include "ocelli/data/line_index.h"

#include <algorithm>
#include <charconv>

#include "ocelli/base/error.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/table_rows.h"

namespace ocelli::data {

namespace fs = std::filesystem;

fs::path line_index_of(const fs::path& table) {
  const fs::path longer = table.string() + ".lineidx";
  return is_there(longer) ? longer : fs::path(table).replace_extension(".lineidx");
}

IndexedLines::IndexedLines(const fs::path& path) : file_(path) {
  const fs::path index = line_index_of(path);
  if (is_there(index)) {
    read_index(index);
  } else {
    scan();
  }
  require(!starts_.empty(), "{}: it has no row", name());
}

void IndexedLines::read_index(const fs::path& path) {
  const FileText offsets(path);
  index_name_ = offsets.name();
  const std::string_view text = offsets.text();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at = end + 1;
    if (line.empty() && at >= text.size()) break;
    const size_t number = starts_.size();
    uint64_t offset = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), offset);
    require(error == std::errc() && stop == line.data() + line.size(), "{}: line {} is \"{}\", expected a byte offset",
            index_name_, number, line.substr(0, 40));
    require(starts_.empty() || offset > starts_.back(),
            "{}: line {}: offset {} isn't above the one before, {}; make the index anew", index_name_, number, offset,
            starts_.empty() ? 0 : starts_.back());
    require(offset < file_.text().size(), "{}: line {}: offset {} lies past the end of {} ({} bytes); make the index anew",
            index_name_, number, offset, name(), file_.text().size());
    starts_.push_back(offset);
  }
}

void IndexedLines::scan() {
  const std::string_view text = file_.text();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) starts_.push_back(at);
    at = end + 1;
  }
}

std::string IndexedLines::where(int64_t index) const {
  return fmt::format("{}, row {} (byte {})", name(), index, starts_[static_cast<size_t>(index)]);
}

std::vector<std::string_view> IndexedLines::cells(int64_t index) const {
  const std::string_view text = file_.text();
  const auto number = static_cast<size_t>(index);
  const size_t start = starts_[number];
  const size_t next = number + 1 < starts_.size() ? starts_[number + 1] : text.size();
  const size_t end = std::min(text.substr(0, next).find('\n', start), next);
  if (!index_name_.empty()) {
    require(start == 0 || text[start - 1] == '\n', "{}: line {}: offset {} isn't where a line of {} starts; make the index anew",
            index_name_, index, start, name());
    require(end + 1 >= next, "{}: line {}: offset {} isn't where the line after it starts ({}); make the index anew", index_name_,
            index + 1, next, end + 1);
  }
  std::string_view line = text.substr(start, end - start);
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> out;
  for (size_t at = 0; at <= line.size();) {
    const size_t stop = std::min(line.find('\t', at), line.size());
    require(stop - at <= kMostCellBytes, "{}: column {} has {} bytes, the limit is {}", where(index), out.size(), stop - at,
            kMostCellBytes);
    constexpr size_t kMostCells = 1000;
    require(out.size() < kMostCells, "{}: more than {} columns", where(index), kMostCells);
    out.push_back(line.substr(at, stop - at));
    at = stop + 1;
  }
  return out;
}

}  // namespace ocelli::data
