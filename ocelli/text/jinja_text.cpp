#include "ocelli/text/jinja_text.h"

#include <algorithm>
#include <cstring>

namespace ocelli::text::jinja {
namespace {

/// Bytes of the line end at `offset`, 0 when none stands there.
size_t line_end_at(std::string_view text, size_t offset) {
  if (text[offset] == '\r') return offset + 1 < text.size() && text[offset + 1] == '\n' ? 2 : 1;
  const CodePoint point = code_point_at(text, offset);
  const char32_t value = point.value;
  const bool ends =
      (value >= 0x0A && value <= 0x0C) || (value >= 0x1C && value <= 0x1E) || value == 0x85 || value == 0x2028 || value == 0x2029;
  return ends ? point.bytes : 0;
}

}  // namespace

size_t find_text(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? std::string_view::npos : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

std::vector<std::string_view> split_left(std::string_view text, std::string_view separator, Int limit) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (; limit != 0; --limit) {
    const size_t found = find_text(text, separator, begin);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(begin, found - begin));
    begin = found + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string_view> split_right(std::string_view text, std::string_view separator, Int limit) {
  std::vector<std::string_view> parts;
  size_t end = text.size();
  for (; limit != 0; --limit) {
    const size_t found = text.substr(0, end).rfind(separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(found + separator.size(), end - found - separator.size()));
    end = found;
  }
  parts.push_back(text.substr(0, end));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_spaces(std::string_view text, Int limit) {
  std::vector<std::string_view> parts;
  text = strip_left(text);
  while (!text.empty()) {
    if (limit-- == 0) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && space_bytes_at(text, end) == 0) end += code_point_at(text, end).bytes;
    parts.push_back(text.substr(0, end));
    text = strip_left(text.substr(end));
  }
  return parts;
}

std::vector<std::string_view> split_spaces_right(std::string_view text, Int limit) {
  std::vector<std::string_view> parts;
  text = strip_right(text);
  while (!text.empty()) {
    if (limit-- == 0) {
      parts.push_back(text);
      break;
    }
    size_t begin = text.size();
    while (begin > 0) {
      const size_t previous = previous_code_point(text, begin);
      if (space_bytes_at(text, previous) != 0) break;
      begin = previous;
    }
    parts.push_back(text.substr(begin));
    text = strip_right(text.substr(0, begin));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t offset = 0; offset < text.size();) {
    const size_t bytes = line_end_at(text, offset);
    if (bytes == 0) {
      offset += code_point_at(text, offset).bytes;
      continue;
    }
    lines.push_back(text.substr(begin, offset - begin + (keep_ends ? bytes : 0)));
    offset += bytes;
    begin = offset;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replace_text(Runtime& runtime, std::string_view text, std::string_view part, std::string_view with, Int limit) {
  runtime.charge_scan(text.size());
  std::string out;
  const auto add = [&](std::string_view piece) {
    runtime.check_size(static_cast<Int>(out.size() + piece.size()));
    out += piece;
  };
  size_t begin = 0;
  if (part.empty()) {
    // An empty part stands before every character and at the end.
    for (; limit != 0; --limit) {
      runtime.charge();
      add(with);
      if (begin >= text.size()) return out;
      const size_t bytes = code_point_at(text, begin).bytes;
      add(text.substr(begin, bytes));
      begin += bytes;
    }
  } else {
    for (; limit != 0; --limit) {
      const size_t found = find_text(text, part, begin);
      if (found == std::string_view::npos) break;
      runtime.charge_scan(with.size());
      add(text.substr(begin, found - begin));
      add(with);
      begin = found + part.size();
    }
  }
  add(text.substr(begin));
  return out;
}

std::string justify_text(Runtime& runtime, std::string_view text, Int width, std::string_view fill, char align) {
  const auto size = static_cast<Int>(count_code_points(text));
  if (size >= width) return std::string(text);
  const Int missing = width - size;
  runtime.check_size(width);
  runtime.check_size(missing * static_cast<Int>(fill.size()) + static_cast<Int>(text.size()));
  runtime.charge_scan(static_cast<size_t>(width));
  // str.center() puts the odd space on the left when the width is odd.
  const Int before = align == '<' ? 0 : align == '>' ? missing : missing / 2 + (missing & width & 1);
  std::string out;
  for (Int i = 0; i < before; ++i) out += fill;
  out += text;
  for (Int i = before; i < missing; ++i) out += fill;
  return out;
}

}  // namespace ocelli::text::jinja
