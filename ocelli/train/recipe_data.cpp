#include "ocelli/train/recipe_data.h"

#include <algorithm>
#include <optional>

#include "ocelli/base/error.h"

namespace ocelli::train {
namespace {

namespace fs = std::filesystem;

/// A portion as TOML has it: a number of passes, or a text such as "#500" or "53.9%".
data::Portion read_portion(TableReader& table, std::string_view key, const data::Portion& fallback) {
  const toml::node* node = table.node(key);
  if (node == nullptr) return fallback;
  if (!node->is_string()) return {data::Portion::Kind::kPasses, table.number(key, 1.0, 1e-9, 1e6)};
  try {
    return data::Portion::parse(table.string(key, ""));
  } catch (const Error& error) {
    table.wrong(key, error.what());
  }
}

/// A portion as JSON that read_portion() reads.
Json portion_json(const data::Portion& portion) {
  return portion.kind == data::Portion::Kind::kPasses ? Json(portion.amount) : Json(portion.text());
}

Json path_json(const DataRecipe& source) {
  if (source.further.empty()) return source.options.path.string();
  Json paths = {source.options.path.string()};
  for (const fs::path& path : source.further) paths.push_back(path.string());
  return paths;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const data::Format& format : data::formats()) names.emplace_back(format.name);
  return names;
}

/// Of a [[data]] that names no format. A path that says nothing is taken for LLaVA's records, as they come under any name.
std::string format_by_path(const fs::path& path) {
  try {
    return data::format_of(path);
  } catch (const Error&) {
    return "llava";
  }
}

}  // namespace

DataRecipe read_source(TableReader& table) {
  DataRecipe source;
  const toml::node* path = table.node("path");
  const std::vector<std::string> paths =
      path != nullptr && path->is_array() ? table.strings("path", {}) : std::vector{table.string("path", "")};
  if (paths.empty() || std::count(paths.begin(), paths.end(), "") > 0) {
    table.wrong("path", "is missing: the file of records, or a list of files");
  }
  source.options.path = paths[0];
  source.further.assign(paths.begin() + 1, paths.end());
  source.options.name = table.string("name", source.options.path.stem().string());
  source.options.format = table.choice("format", format_by_path(source.options.path), format_names());
  source.options.images = table.string("images", "");
  source.options.annotations = table.string("annotations", "");
  source.options.split = table.string("split", "");
  source.options.prompts = table.string("prompts", "");
  source.question_types = table.strings("question_types", {});
  source.portion = read_portion(table, "weight", {});
  table.finish();
  return source;
}

OrderedJson source_json(const DataRecipe& source) {
  return {{"name", source.options.name},
          {"format", source.options.format},
          {"path", path_json(source)},
          {"images", source.options.images.string()},
          {"annotations", source.options.annotations.string()},
          {"split", source.options.split},
          {"prompts", source.options.prompts.string()},
          {"question_types", source.question_types},
          {"weight", portion_json(source.portion)}};
}

std::map<std::string, data::Portion> read_stage_data(TableReader& table, const std::vector<DataRecipe>& sources) {
  std::map<std::string, data::Portion> known, out;
  std::vector<std::string> names;
  for (const DataRecipe& source : sources) {
    known[source.options.name] = source.portion;
    names.push_back(source.options.name);
  }
  const toml::node* node = table.node("data");
  if (node == nullptr) return known;
  if (node->is_table()) {
    TableReader weights = table.table("data");
    for (const std::string& name : names) {
      if (weights.has(name)) out[name] = read_portion(weights, name, {});
    }
    weights.finish();
  } else {
    for (const std::string& name : table.strings("data", {})) {
      auto found = known.find(name);
      std::optional<data::Portion> own;
      if (found == known.end()) {
        try {
          data::NamedPortion shorthand = data::parse_named_portion(name, {});
          found = known.find(shorthand.name);
          own = shorthand.portion;
        } catch (const Error& error) {
          table.wrong("data", error.what());
        }
      }
      if (found == known.end()) {
        const std::string near = nearest(name, names);
        table.wrong("data", fmt::format("names \"{}\", which no [[data]] is called{}", name,
                                        near.empty() ? "" : "; did you mean \"" + near + "\"?"));
      }
      out[found->first] = own.value_or(found->second);
    }
  }
  if (out.empty()) table.wrong("data", "names no source");
  return out;
}

Json stage_data_json(const std::map<std::string, data::Portion>& portions) {
  Json out = Json::object();
  for (const auto& [name, portion] : portions) out[name] = portion_json(portion);
  return out;
}

}  // namespace ocelli::train
