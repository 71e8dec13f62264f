#include "ocelli/data/record_file.h"

#include "ocelli/base/error.h"

namespace ocelli::data {
std::vector<std::string_view> split_records(std::string_view text, const std::string& origin) {
  std::vector<std::string_view> records;
  size_t at = 0;
  while (at < text.size() && is_json_space(text[at])) ++at;
  if (at == text.size()) fail("{}: the file is empty", origin);
  if (text[at] != '[') {
    while (at < text.size()) {
      size_t end = text.find('\n', at);
      if (end == std::string_view::npos) end = text.size();
      size_t first = at;
      while (first < end && is_json_space(text[first])) ++first;
      if (first < end) records.push_back(text.substr(first, end - first));
      at = end + 1;
    }
    return records;
  }
  // Only brackets and strings matter to find where records end; each is parsed in full when it is asked for.
  int depth = 0;
  bool in_string = false;
  size_t begin = 0;
  bool closed = false;
  for (; at < text.size() && !closed; ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') {
        ++at;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
      if (depth == 1) fail("{}: byte {}: a record must be an object", origin, at);
    } else if (c == '[' || c == '{') {
      if (depth == 1) begin = at;
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
      if (depth == 1) records.push_back(text.substr(begin, at + 1 - begin));
      if (depth == 0) closed = true;
    } else if (depth == 1 && c != ',' && !is_json_space(c)) {
      fail("{}: byte {}: a record must be an object", origin, at);
    }
  }
  while (closed && at < text.size() && is_json_space(text[at])) ++at;
  require(!closed || at == text.size(), "{}: byte {}: the JSON array is closed, but something follows", origin, at);
  require(closed, "{}: the JSON array is not closed; the file is truncated", origin);
  return records;
}

RecordFile::RecordFile(const std::filesystem::path& path, const std::string& name)
    : text_(path), records_(split_records(text_.text(), text_.name())) {
  require(!records_.empty(), "data {}: {} holds no record", name, path.string());
}

Json RecordFile::object(int64_t index) const {
  Json record = parse_json(text(index), where(index));
  require(record.is_object(), "{}: expected an object", where(index));
  return record;
}

}  // namespace ocelli::data
