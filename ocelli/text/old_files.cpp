#include "ocelli/text/old_files.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ocelli/text/pattern.h"
#include "ocelli/text/vocabulary.h"

namespace ocelli::text {

namespace {

/// Lines without their ends; a last empty one is none.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
  }
  return lines;
}

Json added_tokens(const FolderTokens& tokens) {
  Json list = Json::array();
  for (const AddedToken& token : tokens.tokens) {
    Json entry = {{"content", token.content},         {"lstrip", token.lstrip},         {"rstrip", token.rstrip},
                  {"single_word", token.single_word}, {"normalized", token.normalized}, {"special", token.special}};
    if (token.id >= 0) entry["id"] = token.id;
    list.push_back(std::move(entry));
  }
  return list;
}

/// A special token and its id: the vocabulary's or the one the files give. A token that isn't there is an error.
Json with_id(const std::string& content, const Json& vocab, const FolderTokens& tokens) {
  if (const auto known = vocab.find(content); known != vocab.end()) return *known;
  for (const AddedToken& token : tokens.tokens) {
    if (token.content == content && token.id >= 0) return token.id;
  }
  fail("{}: the special token '{}' is neither in the vocabulary nor among the added tokens", tokens.config_path, content);
}

Json template_processing(const std::vector<std::pair<std::string, Json>>& before,
                         const std::vector<std::pair<std::string, Json>>& after) {
  Json single = Json::array(), special = Json::object();
  const auto put = [&](const std::pair<std::string, Json>& token) {
    single.push_back({{"SpecialToken", {{"id", token.first}, {"type_id", 0}}}});
    special[token.first] = {{"id", token.first}, {"ids", Json::array({token.second})}, {"tokens", Json::array({token.first})}};
  };
  for (const auto& token : before) put(token);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  for (const auto& token : after) put(token);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", special}};
}

}  // namespace

Json byte_level_document(const Json& vocab, std::string_view merges, FolderTokens tokens) {
  require(vocab.is_object(), "vocab.json must be an object of token to id");
  const std::string end_of_text = vocab.contains("<|endoftext|>") ? "<|endoftext|>" : "";
  const bool roberta = tokens.tokenizer_class == "RobertaTokenizer";
  const std::string bos = tokens.special_or("bos_token", roberta ? "<s>" : end_of_text);
  tokens.special_or("eos_token", roberta ? "</s>" : end_of_text);
  tokens.special_or("unk_token", roberta ? "<unk>" : end_of_text);

  Json list = Json::array();
  for (const std::string_view line : lines_of(merges)) {
    if (!line.empty() && !line.starts_with("#version")) list.push_back(std::string(line));
  }
  const bool prefix = tokens.flag("add_prefix_space", false);
  Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"trim_offsets", true}, {"use_regex", true}};
  Json document = {{"decoder", byte_level}, {"pre_tokenizer", byte_level}};
  if (tokens.tokenizer_class == "Qwen2Tokenizer") {
    byte_level["use_regex"] = false;
    const Json split = {
        {"type", "Split"}, {"pattern", {{"Regex", std::string(qwen2_regex())}}}, {"behavior", "Isolated"}, {"invert", false}};
    document["normalizer"] = {{"type", "NFC"}};
    document["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}};
  }
  if (roberta) {
    const std::string cls = tokens.special_or("cls_token", "<s>"), sep = tokens.special_or("sep_token", "</s>");
    document["post_processor"] = {
        {"type", "RobertaProcessing"}, {"cls", {cls, with_id(cls, vocab, tokens)}}, {"sep", {sep, with_id(sep, vocab, tokens)}}};
  } else if (!bos.empty() && tokens.flag("add_bos_token", false)) {
    document["post_processor"] = template_processing({{bos, with_id(bos, vocab, tokens)}}, {});
  }
  document["added_tokens"] = added_tokens(tokens);
  document["model"] = {{"type", "BPE"}, {"vocab", vocab}, {"merges", std::move(list)}};
  return document;
}

Json wordpiece_document(std::string_view vocab, FolderTokens tokens) {
  Json ids = Json::object();
  int64_t id = 0;
  for (const std::string_view line : lines_of(vocab)) ids[std::string(line)] = id++;
  const std::string unk = tokens.special_or("unk_token", "[UNK]");
  const std::string cls = tokens.special_or("cls_token", "[CLS]"), sep = tokens.special_or("sep_token", "[SEP]");
  tokens.special_or("pad_token", "[PAD]");
  tokens.special_or("mask_token", "[MASK]");
  const bool lower = tokens.flag("do_lower_case", true);
  return {{"added_tokens", added_tokens(tokens)},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars", tokens.flag("tokenize_chinese_chars", true)},
            {"strip_accents", tokens.flag("strip_accents", lower)},
            {"lowercase", lower}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
          {"post_processor", template_processing({{cls, with_id(cls, ids, tokens)}}, {{sep, with_id(sep, ids, tokens)}})},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", unk},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", ids}}}};
}

}  // namespace ocelli::text
