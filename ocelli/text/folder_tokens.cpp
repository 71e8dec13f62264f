#include "ocelli/text/folder_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTokens = 16'384;
constexpr size_t kMaxContentBytes = 1024;
constexpr std::array kSpecialNames = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

/// A token as a string or as {"content", "lstrip", …}.
AddedToken read_token(const Json& value, const std::string& path, bool special) {
  AddedToken token;
  if (value.is_string()) {
    token.content = value.get<std::string>();
    token.normalized = !special;
  } else {
    const JsonView view(value, path);
    token.content = view.string("content");
    token.lstrip = view.boolean("lstrip", false);
    token.rstrip = view.boolean("rstrip", false);
    token.single_word = view.boolean("single_word", false);
    special = view.boolean("special", special);
    token.normalized = view.boolean("normalized", !special);
  }
  token.special = special;
  token.id = -1;
  require(token.content.size() <= kMaxContentBytes, "{}: a token has {} bytes, at most {} are allowed", path,
          token.content.size(), kMaxContentBytes);
  require(is_valid_utf8(token.content), "{}: the token is no valid UTF-8", path);
  token.normalized_content = token.content;
  return token;
}

int32_t checked_id(int64_t id, const std::string& path) {
  require(id >= 0 && id < kMaxTokenId, "{}: the id {} is outside 0 to {}", path, id, kMaxTokenId - 1);
  return static_cast<int32_t>(id);
}

/// `"added_tokens_decoder": {"32000": {"content": "<image>", …}}`
void read_decoder(const Json& decoder, const std::string& path, FolderTokens& found) {
  require(decoder.is_object(), "{} must be an object of id to token", path);
  std::vector<AddedToken> tokens;
  for (const auto& [key, value] : decoder.items()) {
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    require(error == std::errc() && end == key.data() + key.size(), "{}: '{}' is no id", path, key);
    tokens.push_back(read_token(value, fmt::format("{}.{}", path, key), false));
    tokens.back().id = checked_id(id, path);
  }
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  for (AddedToken& token : tokens) found.add(std::move(token));
}

/// `added_tokens.json`: {"<image>": 32000}
void read_added(const Json& added, const std::string& path, FolderTokens& found) {
  require(added.is_object(), "{} must be an object of token to id", path);
  std::vector<AddedToken> tokens;
  for (const auto& [content, id] : added.items()) {
    require(id.is_number_integer(), "{}: the id of '{}' is no integer", path, content);
    tokens.push_back(read_token(Json(content), path, false));
    tokens.back().id = checked_id(id.get<int64_t>(), path);
  }
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  for (AddedToken& token : tokens) found.add(std::move(token));
}

void read_special(const Json& map, const std::string& path, FolderTokens& found) {
  require(map.is_object(), "{} must be an object", path);
  for (const char* name : kSpecialNames) {
    const auto value = map.find(name);
    if (value == map.end() || found.special.contains(name)) continue;
    if (value->is_null() || value->is_boolean()) {
      found.special[name] = "";
      continue;
    }
    AddedToken token = read_token(*value, fmt::format("{}: {}", path, name), true);
    token.special = true;
    found.special[name] = token.content;
    found.add(std::move(token));
  }
  for (const char* name : {"additional_special_tokens", "extra_special_tokens"}) {
    const auto list = map.find(name);
    if (list == map.end() || !(list->is_array() || list->is_object())) continue;
    for (const Json& value : *list) {
      AddedToken token = read_token(value, fmt::format("{}: {}", path, name), true);
      token.special = true;
      found.add(std::move(token));
    }
  }
}

}  // namespace

AddedToken plain_special(std::string content) {
  AddedToken token;
  token.normalized_content = content;
  token.content = std::move(content);
  token.id = -1;
  token.special = true;
  return token;
}

void FolderTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  const auto known =
      std::find_if(tokens.begin(), tokens.end(), [&](const AddedToken& other) { return other.content == token.content; });
  if (known != tokens.end()) {
    known->special = known->special || token.special;
    return;
  }
  require(tokens.size() < kMaxTokens, "{}: more than {} added tokens", config_path, kMaxTokens);
  tokens.push_back(std::move(token));
}

std::string FolderTokens::special_or(const std::string& name, const std::string& fallback) {
  const auto [place, missing] = special.emplace(name, fallback);
  if (missing) add(plain_special(fallback));
  return place->second;
}

FolderTokens read_folder_tokens(const fs::path& folder) {
  FolderTokens found;
  const fs::path config = folder / "tokenizer_config.json";
  found.config_path = config.string();
  if (fs::exists(config)) {
    found.config = read_json(config);
    const JsonView view(found.config, found.config_path);
    require(found.config.is_object(), "{} must be a JSON object", found.config_path);
    found.tokenizer_class = view.string("tokenizer_class", "");
    if (found.tokenizer_class.ends_with("Fast")) found.tokenizer_class.resize(found.tokenizer_class.size() - 4);
    if (view.has("added_tokens_decoder")) {
      read_decoder(found.config["added_tokens_decoder"], found.config_path + ": added_tokens_decoder", found);
    }
  }
  if (const fs::path added = folder / "added_tokens.json"; fs::exists(added)) read_added(read_json(added), added.string(), found);
  read_special(found.config, found.config_path, found);
  if (const fs::path map = folder / "special_tokens_map.json"; fs::exists(map)) read_special(read_json(map), map.string(), found);
  return found;
}

}  // namespace ocelli::text
