#include "ocelli/train/toml_writer.h"

#include <algorithm>
#include <cctype>

#include "ocelli/base/error.h"

namespace ocelli::train {
namespace {

std::string key_text(const std::string& key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(),
                                                [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; });
  return bare ? key : OrderedJson(key).dump();
}

std::string value_text(const OrderedJson& value) {
  if (value.is_number_float()) {
    const std::string text = fmt::format("{}", value.get<double>());
    // A float without point or exponent would read back as an integer.
    return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
  }
  if (value.is_array()) {
    std::string out = "[";
    for (const OrderedJson& item : value) out += (out.size() > 1 ? ", " : "") + value_text(item);
    return out + "]";
  }
  if (value.is_object()) {
    std::string out = "{ ";
    for (const auto& [key, item] : value.items()) out += (out.size() > 2 ? ", " : "") + key_text(key) + " = " + value_text(item);
    return out + " }";
  }
  return value.dump();  // strings: JSON's escapes are TOML's
}

bool is_table_array(const OrderedJson& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const OrderedJson& item) { return item.is_object(); });
}

void write_values(const OrderedJson& table, bool inline_tables, std::string& out) {
  for (const auto& [key, value] : table.items()) {
    if (value.is_null() || is_table_array(value) || (value.is_object() && !inline_tables)) continue;
    out += key_text(key) + " = " + value_text(value) + "\n";
  }
}

void write_table(const OrderedJson& table, const std::string& path, std::string& out) {
  const bool has_values = std::any_of(table.begin(), table.end(),
                                      [](const OrderedJson& value) { return !value.is_object() && !is_table_array(value); });
  if (!path.empty() && has_values) out += "\n[" + path + "]\n";
  write_values(table, false, out);
  for (const auto& [key, value] : table.items()) {
    if (value.is_object()) write_table(value, path.empty() ? key_text(key) : path + "." + key_text(key), out);
  }
}

}  // namespace

std::string to_toml_text(const OrderedJson& root) {
  std::string out;
  write_table(root, "", out);
  for (const auto& [key, value] : root.items()) {
    if (!is_table_array(value)) continue;
    for (const OrderedJson& item : value) {
      out += "\n[[" + key_text(key) + "]]\n";
      write_values(item, true, out);
    }
  }
  return out;
}

}  // namespace ocelli::train
