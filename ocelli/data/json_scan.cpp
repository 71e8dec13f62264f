#include "ocelli/data/json_scan.h"

#include <charconv>

#include "ocelli/base/error.h"
#include "ocelli/data/record_file.h"

namespace ocelli::data {
namespace {

void skip_spaces(std::string_view text, size_t& at) {
  while (at < text.size() && is_json_space(text[at])) ++at;
}

/// Moves behind the string that starts at `at`; to the text's end when it isn't closed.
void skip_string(std::string_view text, size_t& at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      ++at;
      return;
    }
  }
  at = text.size();
}

/// Moves behind the value that starts at `at`, before the comma or bracket that follows.
void skip_value(std::string_view text, size_t& at) {
  int64_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      skip_string(text, at);
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}' || c == ']')) return;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    ++at;
  }
}

}  // namespace

std::optional<std::string_view> find_value(std::string_view object, std::string_view key) {
  size_t at = 0;
  skip_spaces(object, at);
  if (at == object.size() || object[at] != '{') return std::nullopt;
  for (++at; at < object.size(); ++at) {
    skip_spaces(object, at);
    if (at >= object.size() || object[at] != '"') return std::nullopt;
    const size_t first = at + 1;
    skip_string(object, at);
    const bool found = at > first && object.substr(first, at - 1 - first) == key;
    skip_spaces(object, at);
    if (at >= object.size() || object[at] != ':') return std::nullopt;
    ++at;
    skip_spaces(object, at);
    const size_t begin = at;
    skip_value(object, at);
    if (found) {
      size_t end = at;
      while (end > begin && is_json_space(object[end - 1])) --end;
      return object.substr(begin, end - begin);
    }
    if (at >= object.size() || object[at] != ',') return std::nullopt;
  }
  return std::nullopt;
}

std::vector<std::string_view> find_records(std::string_view object, std::string_view key, const std::string& file) {
  const auto value = find_value(object, key);
  require(value && value->starts_with("["), "{}: there is no list \"{}\" in its object; is it the right file, and whole?", file,
          key);
  return split_records(*value, fmt::format("{}: {}", file, key));
}

int64_t find_integer(std::string_view object, std::string_view key, const std::string& where) {
  const auto value = find_value(object, key);
  require(value.has_value(), "{}: it has no \"{}\"", where, key);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  require(error == std::errc() && end == value->data() + value->size(), "{}: {} is {}, expected an integer", where, key,
          value->substr(0, 40));
  return number;
}

}  // namespace ocelli::data
