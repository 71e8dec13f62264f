#include "ocelli/train/toml_reader.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "ocelli/base/error.h"

namespace ocelli::train {
namespace {

std::string type_name(const toml::node& node) {
  std::ostringstream out;
  out << node.type();
  return out.str();
}

std::string shown(const toml::node& node) {
  const std::string text = to_json(node).dump();
  return text.size() > 60 ? fmt::format("{}...", text.substr(0, 57)) : text;
}

}  // namespace

TableReader::TableReader(const toml::table& table, std::string path, std::string file)
    : table_(table), path_(std::move(path)), file_(std::move(file)) {}

std::string TableReader::full(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

std::string TableReader::place(std::string_view key) const {
  const toml::node* node = table_.get(key);
  std::string place = node != nullptr ? place_of(*node) : std::string();
  if (place.empty()) place = place_of(table_);
  return place.empty() ? file_ : place;
}

void TableReader::wrong(std::string_view key, const std::string& what) {
  throw UsageError(fmt::format("{}: {} {}", place(key), full(key), what));
}

const toml::node* TableReader::node(std::string_view key) {
  asked_.emplace(key);
  return table_.get(key);
}

bool TableReader::has(std::string_view key) {
  return node(key) != nullptr;
}

std::string TableReader::string(std::string_view key, const std::string& fallback) {
  const toml::node* found = node(key);
  if (found == nullptr) return fallback;
  if (!found->is_string()) wrong(key, fmt::format("is {} ({}), expected a string", shown(*found), type_name(*found)));
  return found->as_string()->get();
}

int64_t TableReader::integer(std::string_view key, int64_t fallback, int64_t low, int64_t high) {
  const toml::node* found = node(key);
  if (found == nullptr) return fallback;
  if (!found->is_integer()) wrong(key, fmt::format("is {} ({}), expected an integer", shown(*found), type_name(*found)));
  const int64_t value = found->as_integer()->get();
  if (value < low || value > high) wrong(key, fmt::format("is {}, expected {} to {}", value, low, high));
  return value;
}

double TableReader::number(std::string_view key, double fallback, double low, double high) {
  const toml::node* found = node(key);
  if (found == nullptr) return fallback;
  if (!found->is_number()) wrong(key, fmt::format("is {} ({}), expected a number", shown(*found), type_name(*found)));
  const double value = found->is_integer() ? static_cast<double>(found->as_integer()->get()) : found->as_floating_point()->get();
  if (!(value >= low && value <= high)) wrong(key, fmt::format("is {}, expected {} to {}", value, low, high));
  return value;
}

bool TableReader::boolean(std::string_view key, bool fallback) {
  const toml::node* found = node(key);
  if (found == nullptr) return fallback;
  if (!found->is_boolean()) wrong(key, fmt::format("is {} ({}), expected true or false", shown(*found), type_name(*found)));
  return found->as_boolean()->get();
}

std::vector<std::string> TableReader::strings(std::string_view key, const std::vector<std::string>& fallback) {
  const toml::node* found = node(key);
  if (found == nullptr) return fallback;
  if (!found->is_array()) wrong(key, fmt::format("is {} ({}), expected a list of strings", shown(*found), type_name(*found)));
  std::vector<std::string> out;
  for (const toml::node& item : *found->as_array()) {
    if (!item.is_string()) wrong(key, fmt::format("holds {} ({}), expected strings", shown(item), type_name(item)));
    out.push_back(item.as_string()->get());
  }
  return out;
}

std::string TableReader::choice(std::string_view key, const std::string& fallback, const std::vector<std::string>& choices) {
  const std::string value = string(key, fallback);
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return value;
  std::string list;
  for (const std::string& one : choices) list += (list.empty() ? "" : ", ") + one;
  const std::string near = nearest(value, choices);
  wrong(key, fmt::format("is \"{}\"; known are {}{}", value, list, near.empty() ? "" : " (did you mean \"" + near + "\"?)"));
}

TableReader TableReader::table(std::string_view key) {
  static const toml::table kEmpty;
  const toml::node* found = node(key);
  if (found != nullptr && !found->is_table())
    wrong(key, fmt::format("is {} ({}), expected a table", shown(*found), type_name(*found)));
  return {found == nullptr ? kEmpty : *found->as_table(), full(key), file_};
}

Json TableReader::rest() {
  Json out = Json::object();
  for (const auto& [key, value] : table_) {
    const std::string name(key.str());
    if (asked_.contains(name)) continue;
    out[name] = to_json(value);
    asked_.insert(name);
  }
  return out;
}

void TableReader::finish() {
  for (const auto& [key, value] : table_) {
    const std::string name(key.str());
    if (asked_.contains(name)) continue;
    wrong(name, not_known(name, {asked_.begin(), asked_.end()}));
  }
}

std::string place_of(const toml::node& node) {
  const toml::source_region& source = node.source();
  if (!source.path) return {};
  if (source.path->starts_with("-o ")) return *source.path;
  return source.begin.line > 0 ? fmt::format("{}:{}", *source.path, source.begin.line) : *source.path;
}

std::string not_known(std::string_view word, const std::vector<std::string>& known) {
  const std::string near = nearest(word, known);
  if (!near.empty()) return fmt::format("is not known; did you mean \"{}\"?", near);
  std::string list;
  for (const std::string& one : known) list += (list.empty() ? "" : ", ") + one;
  return "is not known; known keys here are " + list;
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t least = word.size() / 2 + 1;  // further away is no likeness
  for (const std::string& candidate : candidates) {
    std::vector<size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= candidate.size(); ++j) {
        const size_t above = row[j];
        row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1)});
        diagonal = above;
      }
    }
    if (row.back() < least) {
      least = row.back();
      best = candidate;
    }
  }
  return best;
}

Json to_json(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    Json out = Json::object();
    for (const auto& [key, value] : *table) out[std::string(key.str())] = to_json(value);
    return out;
  }
  if (const auto* array = node.as_array()) {
    Json out = Json::array();
    for (const toml::node& item : *array) out.push_back(to_json(item));
    return out;
  }
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  if (const auto* value = node.as_boolean()) return value->get();
  std::ostringstream out;
  out << toml::node_view<const toml::node>(&node);
  return out.str();
}

}  // namespace ocelli::train
