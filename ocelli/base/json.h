#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/error.h"

namespace ocelli {

using Json = nlohmann::json;
/// Keeps the order of keys: for what is shown to people or rendered by templates.
using OrderedJson = nlohmann::ordered_json;

struct JsonLimits {
  uint64_t max_bytes = 64ULL << 20;
  int max_depth = 64;
  bool reject_duplicate_keys = true;
};

/// Parses JSON text from outside. Throws Error naming `origin` and the byte offset on bad syntax, bad UTF-8,
/// too many bytes, too deep nesting or a key given twice.
Json parse_json(std::string_view text, std::string_view origin, const JsonLimits& limits = {});
OrderedJson parse_ordered_json(std::string_view text, std::string_view origin, const JsonLimits& limits = {});
Json read_json(const std::filesystem::path& path, const JsonLimits& limits = {});

/// A JSON object together with where it came from, so that a wrong value is reported as
/// `config.json: text_config.hidden_size is "x", expected an integer`.
class JsonView {
 public:
  JsonView(const Json& value, std::string path);

  /// The same view, which notes in `asked` every key that is looked for from now on, here and in objects below (`a.b`): what a
  /// table holds beside them, nobody knows. `asked` must outlive it and the views of its objects.
  JsonView noting(std::set<std::string>& asked) const;

  const Json& value() const { return *value_; }
  const std::string& path() const { return path_; }

  bool has(std::string_view key) const;  ///< present and not null
  /// Throws Error when the key is absent or no object.
  JsonView object(std::string_view key) const;

  /// The typed value of `key`; throws Error when absent or of another type.
  int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;
  std::string string(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;
  std::vector<int64_t> integers(std::string_view key) const;  ///< 2.5 or 1e3 is no integer
  std::vector<std::string> strings(std::string_view key) const;

  /// The same with a default for an absent or null key.
  int64_t integer(std::string_view key, int64_t fallback) const;
  double number(std::string_view key, double fallback) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string string(std::string_view key, std::string_view fallback) const;

  /// integer(), checked to lie in [low, high]; the message names the range.
  int64_t integer_in(std::string_view key, int64_t low, int64_t high) const;
  int64_t integer_in(std::string_view key, int64_t low, int64_t high, int64_t fallback) const;

 private:
  const Json& at(std::string_view key) const;
  void note(std::string_view key) const;
  std::string child(std::string_view key) const;
  const Json* value_;
  std::string path_;
  bool nested_ = false;  ///< inside another view: keys join with "." rather than ": "
  std::set<std::string>* asked_ = nullptr;
  std::string prefix_;  ///< of what is noted in asked_
};

}  // namespace ocelli
