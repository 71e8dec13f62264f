#pragma once

#include <toml++/toml.h>

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::train {

/// A TOML table whose keys must all be asked for: what nobody read is an unknown key. Errors name the file and line the key
/// stands at, whichever file that is, or the -o that set it.
class TableReader {
 public:
  /// `file` is named for keys that stand nowhere.
  TableReader(const toml::table& table, std::string path, std::string file);

  bool has(std::string_view key);
  std::string string(std::string_view key, const std::string& fallback);
  int64_t integer(std::string_view key, int64_t fallback, int64_t low, int64_t high);
  double number(std::string_view key, double fallback, double low, double high);
  bool boolean(std::string_view key, bool fallback);
  std::vector<std::string> strings(std::string_view key, const std::vector<std::string>& fallback);
  /// One of `choices`.
  std::string choice(std::string_view key, const std::string& fallback, const std::vector<std::string>& choices);
  /// The node itself, or nullptr; counts as asked for.
  const toml::node* node(std::string_view key);
  /// The table under `key`, empty when absent.
  TableReader table(std::string_view key);
  /// Every key left unread as JSON; used for config.json's keys, which the model checks.
  Json rest();

  /// Where `key`, or else the table itself, was written: `file:line`, or `-o key=value`.
  std::string place(std::string_view key) const;
  bool empty() const { return table_.empty(); }

  /// Throws UsageError for the first key that was never asked for, naming the nearest one that exists.
  void finish();
  /// Throws UsageError about `key`.
  [[noreturn]] void wrong(std::string_view key, const std::string& what);

 private:
  std::string full(std::string_view key) const;
  const toml::table& table_;
  std::string path_;
  std::string file_;
  std::set<std::string, std::less<>> asked_;
};

/// Where a node was written: `file:line`, `-o key=value`, empty when that isn't known.
std::string place_of(const toml::node& node);

/// "is not known; did you mean …?", or what is known.
std::string not_known(std::string_view word, const std::vector<std::string>& known);

/// The candidate closest to `word` by edit distance, empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// A TOML value as JSON. Dates become strings.
Json to_json(const toml::node& node);

}  // namespace ocelli::train
