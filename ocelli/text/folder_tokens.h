#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/text/added_tokens.h"

namespace ocelli::text {

/// What the files beside a vocabulary say about its tokens: tokenizer_config.json, special_tokens_map.json, added_tokens.json.
struct FolderTokens {
  Json config = Json::object();    ///< tokenizer_config.json
  std::string config_path;         ///< for messages
  std::string tokenizer_class;     ///< without "Fast"; empty when not said
  std::vector<AddedToken> tokens;  ///< ids first, in their order; id -1: the vocabulary's, or the next free one
  /// "bos_token" … "mask_token" to the token; an empty one where the file says null.
  std::map<std::string, std::string> special;

  /// The named special token: the files', else `fallback`, in which case it joins `tokens` (nothing is added when empty).
  std::string special_or(const std::string& name, const std::string& fallback);
  /// Adds one that isn't there yet.
  void add(AddedToken token);
  /// A flag of tokenizer_config.json.
  bool flag(const char* key, bool fallback) const { return JsonView(config, config_path).boolean(key, fallback); }
};

/// A token that is found wherever its text stands.
AddedToken plain_special(std::string content);

/// Reads them; files that aren't there say nothing. Throws Error naming file and key for what isn't of the known form, an id
/// outside [0, 2^21), or more than 16,384 tokens.
FolderTokens read_folder_tokens(const std::filesystem::path& folder);

}  // namespace ocelli::text
