#include "ocelli/train/recipe.h"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/train/recipe_data.h"
#include "ocelli/train/toml_reader.h"
#include "ocelli/train/toml_writer.h"

namespace ocelli::train {
namespace {

namespace fs = std::filesystem;
const std::vector<std::string> kParts = {"vision", "connector", "decoder"};  // what a stage trains
constexpr int64_t kMany = int64_t{1} << 40;

toml::table parse_file(const fs::path& file) {
  const std::string text = read_file(file, 16 << 20);
  try {
    return toml::parse(text, file.string());
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}:{}: {}", file.string(), error.source().begin.line, error.description()));
  }
}

/// Names are how arrays of tables ([[data]], [[stage]]) are merged and addressed.
toml::table* named(toml::array& array, std::string_view name) {
  for (toml::node& node : array) {
    toml::table* table = node.as_table();
    if (table != nullptr && (*table)["name"].value_or(std::string_view()) == name) return table;
  }
  return nullptr;
}

/// Relative paths are meant from the folder of the file that names them, and of overrides from the working folder.
void make_absolute(toml::node& node, const fs::path& folder) {
  toml::value<std::string>* value = node.as_string();
  if (value == nullptr || value->get().empty() || fs::path(value->get()).is_absolute()) return;
  *value = (folder / value->get()).lexically_normal().string();  // in place: the node keeps where it was written
}

void make_absolute(toml::table& table, std::string_view key, const fs::path& folder) {
  toml::node* node = table.get(key);
  if (node == nullptr) return;
  // `org/name` that is no folder here stays: it may stand in the Hugging Face cache.
  if (key == "base" && node->is_string() && !fs::exists(folder / node->as_string()->get())) return;
  make_absolute(*node, folder);
}

void resolve_paths(toml::table& root, const fs::path& folder) {
  if (auto* model = root["model"].as_table()) {
    make_absolute(*model, "base", folder);
    for (auto&& [key, part] : *model) {
      if (part.is_table()) make_absolute(*part.as_table(), "base", folder);
    }
  }
  if (auto* tokenizer = root["tokenizer"].as_table()) make_absolute(*tokenizer, "base", folder);
  if (auto* sources = root["data"].as_array()) {
    for (toml::node& source : *sources) {
      if (auto* table = source.as_table()) {
        make_absolute(*table, "path", folder);
        if (auto* paths = (*table)["path"].as_array()) {
          for (toml::node& path : *paths) make_absolute(path, folder);
        }
        for (const char* key : {"images", "annotations", "prompts"}) make_absolute(*table, key, folder);
      }
    }
  }
}

/// Nodes are moved, not copied: only then they keep where they were written.
void merge(toml::table& base, toml::table&& over) {
  for (auto&& [key, value] : over) {
    toml::node* under = base.get(key.str());
    if (under != nullptr && under->is_table() && value.is_table()) {
      merge(*under->as_table(), std::move(*value.as_table()));
    } else if (under != nullptr && under->is_array_of_tables() && value.is_array_of_tables()) {
      for (toml::node& item : *value.as_array()) {
        toml::table& table = *item.as_table();
        toml::table* same = named(*under->as_array(), table["name"].value_or(std::string_view()));
        if (same != nullptr) {
          merge(*same, std::move(table));
        } else {
          under->as_array()->push_back(std::move(table));
        }
      }
    } else {
      base.insert_or_assign(key.str(), std::move(value));
    }
  }
}

toml::table read_with_bases(const fs::path& file, int depth) {
  if (depth > 8) throw UsageError(fmt::format("{}: extends more than 8 files deep", file.string()));
  toml::table table = parse_file(file);
  const fs::path folder = fs::absolute(file).parent_path();
  resolve_paths(table, folder);
  const auto base_name = table["extends"].value<std::string>();
  if (!base_name) return table;
  table.erase("extends");
  toml::table base = read_with_bases(folder / *base_name, depth + 1);
  merge(base, std::move(table));
  return base;
}

/// `a.b.c=value`; arrays of tables are entered by name. The value is TOML, or else a plain string.
void apply_override(toml::table& root, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw UsageError(fmt::format("-o {}: expected key=value", text));
  std::vector<std::string> keys;
  std::stringstream path(text.substr(0, equals));
  for (std::string key; std::getline(path, key, '.');) keys.push_back(key);
  toml::table value;
  try {
    value = toml::parse("value = " + text.substr(equals + 1), "-o " + text);
  } catch (const toml::parse_error&) {
    // As a literal string of its own source, so that messages name the -o.
    value = toml::parse("value = " + Json(text.substr(equals + 1)).dump(-1, ' ', false, Json::error_handler_t::replace),
                        "-o " + text);
  }
  toml::table* at = &root;
  for (size_t i = 0; i + 1 < keys.size(); ++i) {
    toml::node* next = at->get(keys[i]);
    if (next != nullptr && next->is_array() && i + 2 < keys.size()) {
      toml::table* entry = named(*next->as_array(), keys[i + 1]);
      if (entry == nullptr) throw UsageError(fmt::format("-o {}: there is no {} named \"{}\"", text, keys[i], keys[i + 1]));
      at = entry;
      ++i;
      continue;
    }
    if (next == nullptr) {
      at->insert_or_assign(keys[i], toml::table());
      next = at->get(keys[i]);
    }
    if (!next->is_table()) throw UsageError(fmt::format("-o {}: {} is no table", text, keys[i]));
    at = next->as_table();
  }
  at->insert_or_assign(keys.back(), std::move(*value.get("value")));
}

/// Keys of a part as JSON, with where they stand.
Json read_keys(TableReader& table, const std::string& path, std::map<std::string, std::string>& places) {
  Json keys = table.rest();  // looked at by configure(), which knows what the part takes
  if (!table.empty()) places[path] = table.place("");
  for (const auto& [key, value] : keys.items()) places[path + "." + key] = table.place(key);
  return keys;
}

PartRecipe read_part(TableReader table, const std::string& path, std::map<std::string, std::string>& places) {
  PartRecipe part;
  part.base = table.string("base", "");
  part.config = read_keys(table, path, places);
  return part;
}

std::map<std::string, double> read_rates(TableReader& table, const std::map<std::string, double>& fallback) {
  const toml::node* node = table.node("learning_rate");
  if (node == nullptr) return fallback;
  std::map<std::string, double> rates;
  if (node->is_table()) {
    TableReader parts = table.table("learning_rate");
    for (const std::string& part : kParts) rates[part] = parts.number(part, fallback.at(part), 0, 1e3);
    parts.finish();
  } else {
    const double rate = table.number("learning_rate", 0, 0, 1e3);
    for (const std::string& part : kParts) rates[part] = rate;
  }
  return rates;
}

/// What [train] gives as defaults and each [[stage]] may set.
void read_stage_keys(TableReader& table, StageRecipe& stage) {
  stage.learning_rate = read_rates(table, stage.learning_rate);
  stage.batch_size = table.integer("batch_size", stage.batch_size, 1, kMany);
  stage.gradient_accumulation_steps = table.integer("gradient_accumulation_steps", stage.gradient_accumulation_steps, 1, 1 << 20);
  stage.max_tokens_per_step = table.integer("max_tokens_per_step", stage.max_tokens_per_step, 0, kMany);
  stage.data_temperature = table.number("data_temperature", stage.data_temperature, 1e-3, 1e6);
  stage.epoch_samples = table.integer("epoch_samples", stage.epoch_samples, 0, kMany);
  stage.packing = table.boolean("packing", stage.packing);
  stage.max_pictures_per_pass = table.integer("max_pictures_per_pass", stage.max_pictures_per_pass, 0, kMany);
  stage.num_epochs = table.number("num_epochs", stage.num_epochs, 0, 1e6);
  stage.max_steps = table.integer("max_steps", stage.max_steps, 0, kMany);
  stage.warmup_ratio = table.number("warmup_ratio", stage.warmup_ratio, 0, 1);
  stage.lr_scheduler_type = table.choice("lr_scheduler_type", stage.lr_scheduler_type, {"cosine", "linear", "constant"});
  stage.weight_decay = table.number("weight_decay", stage.weight_decay, 0, 10);
  stage.adam_beta1 = table.number("adam_beta1", stage.adam_beta1, 0, 0.999999);
  stage.adam_beta2 = table.number("adam_beta2", stage.adam_beta2, 0, 0.9999999);
  stage.adam_epsilon = table.number("adam_epsilon", stage.adam_epsilon, 0, 1);
  stage.max_grad_norm = table.number("max_grad_norm", stage.max_grad_norm, 0, 1e9);
  stage.max_length = table.integer("max_length", stage.max_length, 1, 1 << 24);
  stage.gradient_checkpointing = table.boolean("gradient_checkpointing", stage.gradient_checkpointing);
}

const toml::array* tables(TableReader& root, std::string_view key) {
  const toml::node* node = root.node(key);
  if (node != nullptr && !node->is_array_of_tables()) root.wrong(key, fmt::format("must be written [[{}]], once for each", key));
  return node == nullptr ? nullptr : node->as_array();
}

std::vector<std::pair<const char*, const PartRecipe*>> named_parts(const ModelRecipe& model) {
  return {
      {"vision", &model.vision}, {"aux_vision", &model.aux_vision}, {"connector", &model.connector}, {"decoder", &model.decoder}};
}

Recipe read_recipe(const toml::table& root, const fs::path& file) {
  Recipe recipe;
  TableReader top(root, "", file.string());
  recipe.name = top.string("name", file.stem().string());
  recipe.seed = static_cast<uint64_t>(top.integer("seed", 1, 0, std::numeric_limits<int64_t>::max()));

  TableReader model = top.table("model");
  recipe.model.base = model.string("base", "");
  recipe.model.vision = read_part(model.table("vision"), "model.vision", recipe.places);
  recipe.model.aux_vision = read_part(model.table("aux_vision"), "model.aux_vision", recipe.places);
  recipe.model.connector = read_part(model.table("connector"), "model.connector", recipe.places);
  recipe.model.decoder = read_part(model.table("decoder"), "model.decoder", recipe.places);
  TableReader image = model.table("image");
  recipe.model.image = read_keys(image, "model.image", recipe.places);
  model.finish();
  TableReader tokenizer = top.table("tokenizer");
  if (!recipe.model.base.empty()) {
    for (const auto& [key, part] : named_parts(recipe.model)) {
      if (part->given()) model.wrong(key, "is given beside model.base, which is a whole model");
    }
    if (!recipe.model.image.empty()) model.wrong("image", "is given beside model.base, which prepares pictures in its own way");
    if (!tokenizer.empty()) {
      top.wrong("tokenizer", "is given beside model.base, which brings its own; leave it out (-o 'tokenizer={}')");
    }
  }
  recipe.tokenizer.base = tokenizer.string("base", "");
  recipe.tokenizer.train = tokenizer.boolean("train", false);
  recipe.tokenizer.vocab_size = tokenizer.integer("vocab_size", recipe.tokenizer.vocab_size, 262, 1 << 21);
  recipe.tokenizer.chat_template = tokenizer.string("chat_template", "");
  tokenizer.finish();
  if (!recipe.model.vision.given()) {
    if (recipe.model.aux_vision.given())
      model.wrong("aux_vision", "is given without model.vision; it is the second of two towers");
    if (recipe.model.connector.given()) model.wrong("connector", "is given without model.vision, so there is nothing to connect");
    if (!recipe.model.image.empty()) model.wrong("image", "is given without model.vision, which would see the pictures");
  }

  StageRecipe defaults;
  for (const std::string& part : kParts) defaults.learning_rate[part] = 1e-3;
  TableReader train = top.table("train");
  read_stage_keys(train, defaults);
  recipe.precision = train.choice("precision", recipe.precision, {"auto", "fp32", "bf16"});
  recipe.save_steps = train.integer("save_steps", recipe.save_steps, 1, kMany);
  recipe.save_total_limit = train.integer("save_total_limit", recipe.save_total_limit, 1, 1 << 20);
  recipe.logging_steps = train.integer("logging_steps", recipe.logging_steps, 1, kMany);
  recipe.log_samples = train.boolean("log_samples", recipe.log_samples);
  recipe.max_fault_share = train.number("max_fault_share", recipe.max_fault_share, 0, 1);
  recipe.loader_threads = train.integer("loader_threads", recipe.loader_threads, 0, 1024);
  train.finish();

  std::vector<std::string> sources;
  if (const toml::array* array = tables(top, "data")) {
    for (const toml::node& node : *array) {
      TableReader table(*node.as_table(), "data", file.string());
      const DataRecipe source = read_source(table);
      if (std::find(sources.begin(), sources.end(), source.options.name) != sources.end()) {
        table.wrong("name", fmt::format("\"{}\" is given twice", source.options.name));
      }
      sources.push_back(source.options.name);
      recipe.data.push_back(source);
    }
  }
  if (recipe.data.empty()) throw UsageError(fmt::format("{}: there is no [[data]] to train on", file.string()));

  std::vector<std::string> names;
  if (const toml::array* array = tables(top, "stage")) {
    for (const toml::node& node : *array) {
      TableReader table(*node.as_table(), "stage", file.string());
      StageRecipe stage = defaults;
      stage.name = table.string("name", "stage" + std::to_string(recipe.stages.size() + 1));
      if (std::find(names.begin(), names.end(), stage.name) != names.end())
        table.wrong("name", fmt::format("\"{}\" is given twice", stage.name));
      names.push_back(stage.name);
      stage.train = table.strings("train", kParts);
      for (const std::string& part : stage.train) {
        if (std::find(kParts.begin(), kParts.end(), part) == kParts.end()) {
          table.wrong("train", fmt::format("names \"{}\"; known parts are vision, connector, decoder", part));
        }
      }
      stage.data = read_stage_data(table, recipe.data);
      read_stage_keys(table, stage);
      table.finish();
      recipe.stages.push_back(std::move(stage));
    }
  } else {
    StageRecipe stage = defaults;
    stage.name = "train";
    for (const DataRecipe& source : recipe.data) stage.data[source.options.name] = source.portion;
    recipe.stages.push_back(std::move(stage));
  }
  top.finish();
  if (recipe.model.base.empty() && recipe.model.decoder.base.empty() && recipe.model.decoder.config.empty()) {
    throw UsageError(fmt::format("{}: [model] gives neither a base nor a decoder", file.string()));
  }
  return recipe;
}

Json part_json(const PartRecipe& part) {
  Json out = part.config;
  if (!part.base.empty()) out["base"] = part.base;
  return out;
}

void flatten(const Json& json, const std::string& path, std::map<std::string, std::string>& out) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) flatten(value, path.empty() ? key : path + "." + key, out);
  } else if (json.is_array() && !json.empty() && json[0].is_object()) {
    for (const Json& item : json) flatten(item, path + "." + item.value("name", "?"), out);
  } else {
    out[path] = json.dump();
  }
}

}  // namespace

Recipe Recipe::load(const fs::path& file, const std::vector<std::string>& overrides) {
  toml::table table = read_with_bases(file, 0);
  for (const std::string& text : overrides) apply_override(table, text);
  resolve_paths(table, fs::current_path());  // what a file named is absolute by now; the rest was typed here
  return read_recipe(table, file);
}

std::string Recipe::to_toml() const {
  OrderedJson root = {{"name", name}, {"seed", seed}};
  Json model_json = Json::object();
  if (!model.base.empty()) model_json["base"] = model.base;
  for (const auto& [key, part] : named_parts(model)) {
    const Json json = part_json(*part);
    if (!json.empty()) model_json[key] = json;
  }
  if (!model.image.empty()) model_json["image"] = model.image;
  root["model"] = model_json;
  if (model.base.empty()) root["tokenizer"] = {{"train", tokenizer.train}, {"vocab_size", tokenizer.vocab_size}};
  if (!tokenizer.base.empty()) root["tokenizer"]["base"] = tokenizer.base;
  if (!tokenizer.chat_template.empty()) root["tokenizer"]["chat_template"] = tokenizer.chat_template;
  root["train"] = {{"precision", precision},          {"save_steps", save_steps},   {"save_total_limit", save_total_limit},
                   {"logging_steps", logging_steps},  {"log_samples", log_samples}, {"max_fault_share", max_fault_share},
                   {"loader_threads", loader_threads}};
  root["data"] = Json::array();
  for (const DataRecipe& source : data) root["data"].push_back(source_json(source));
  root["stage"] = Json::array();
  for (const StageRecipe& stage : stages) {
    root["stage"].push_back({{"name", stage.name},
                             {"train", stage.train},
                             {"data", stage_data_json(stage.data)},
                             {"data_temperature", stage.data_temperature},
                             {"epoch_samples", stage.epoch_samples},
                             {"packing", stage.packing},
                             {"max_pictures_per_pass", stage.max_pictures_per_pass},
                             {"learning_rate", stage.learning_rate},
                             {"batch_size", stage.batch_size},
                             {"gradient_accumulation_steps", stage.gradient_accumulation_steps},
                             {"max_tokens_per_step", stage.max_tokens_per_step},
                             {"num_epochs", stage.num_epochs},
                             {"max_steps", stage.max_steps},
                             {"warmup_ratio", stage.warmup_ratio},
                             {"lr_scheduler_type", stage.lr_scheduler_type},
                             {"weight_decay", stage.weight_decay},
                             {"adam_beta1", stage.adam_beta1},
                             {"adam_beta2", stage.adam_beta2},
                             {"adam_epsilon", stage.adam_epsilon},
                             {"max_grad_norm", stage.max_grad_norm},
                             {"max_length", stage.max_length},
                             {"gradient_checkpointing", stage.gradient_checkpointing}});
  }
  return to_toml_text(root);
}

std::vector<std::string> differences(const std::string& old_toml, const std::string& new_toml) {
  std::map<std::string, std::string> before, after;
  flatten(to_json(toml::parse(old_toml)), "", before);
  flatten(to_json(toml::parse(new_toml)), "", after);
  std::vector<std::string> out;
  for (const auto& [key, value] : before) {
    const auto found = after.find(key);
    if (found == after.end()) {
      out.push_back(fmt::format("{}: {} -> (absent)", key, value));
    } else if (found->second != value) {
      out.push_back(fmt::format("{}: {} -> {}", key, value, found->second));
    }
  }
  for (const auto& [key, value] : after) {
    if (!before.contains(key)) out.push_back(fmt::format("{}: (absent) -> {}", key, value));
  }
  return out;
}

}  // namespace ocelli::train
