#include "ocelli/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "ocelli/base/file.h"
#include "ocelli/text/byte_level.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int64_t>;

/// Byte-level, GPT-2 split: the 256 bytes have ids in the order of their characters, then come the merges.
Json byte_level_file(const std::vector<std::pair<std::string, std::string>>& merges) {
  Json vocab = Json::object();
  Json lines = Json::array();
  for (const char32_t character : byte_characters()) {
    std::string token;
    append_utf8(token, character);
    vocab[token] = vocab.size();
  }
  for (const auto& [left, right] : merges) {
    vocab[left + right] = vocab.size();
    lines.push_back({left, right});
  }
  const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  return {{"added_tokens", Json::array()},
          {"pre_tokenizer", byte_level},
          {"decoder", byte_level},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", lines}}}};
}

/// A model without pre-tokenizer over the given tokens.
Json plain_file(const std::vector<std::string>& tokens, const Json& merges = Json::array()) {
  Json vocab = Json::object();
  for (const std::string& token : tokens) vocab[token] = vocab.size();
  return {{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}, {"decoder", {{"type", "Fuse"}}}};
}

Json added(const std::string& content, const Json& flags = Json::object()) {
  Json token = {{"content", content}, {"special", false}, {"normalized", false}};
  token.update(flags);
  return token;
}

std::string error_of(const Json& file) {
  try {
    make_tokenizer(file, "file");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

Ids encode(const Json& file, std::string_view text, bool add_special = true) {
  return make_tokenizer(file, "file")->encode(text, add_special);
}

TEST(Tokenizer, MergesTheLowestRankFirstAndTheLeftmostOfEquals) {
  const Json file = plain_file({"a", "b", "c", "bc", "ab", "aa"}, {"b c", "a b", "a a"});
  EXPECT_THAT(encode(file, "abc"), ElementsAre(0, 3));
  EXPECT_THAT(encode(file, "aaa"), ElementsAre(5, 0));
  EXPECT_THAT(encode(file, "aaab"), ElementsAre(5, 4));
}

TEST(Tokenizer, AnyBytesComeBackAsText) {
  const auto tokenizer = make_tokenizer(byte_level_file({{"h", "e"}, {"he", "l"}, {"Ġ", "w"}}), "file");
  constexpr char kBytes[] = "hello  world\n\t\0 \xC3\xA9 \xF0\x9F\x98\x80 it's 42";
  const std::string text(kBytes, sizeof(kBytes) - 1);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, true), false), text);
}

TEST(Tokenizer, InvalidUtf8ReadsAsReplacementCharacters) {
  const auto tokenizer = make_tokenizer(byte_level_file({}), "file");
  EXPECT_EQ(tokenizer->encode("a\xFF\xE2\x82z", true), tokenizer->encode("a\uFFFD\uFFFDz", true));
  EXPECT_EQ(tokenizer->decode(Ids{0xC3, 'a'}, false), "\uFFFDa");  // ids here are the bytes
}

TEST(Tokenizer, OneMegabyteOfOneCharacterIsEncoded) {
  const Json file = byte_level_file({{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}});
  const Ids ids = encode(file, std::string(1 << 20, 'a'));
  EXPECT_EQ(ids, Ids((1 << 20) / 8, 258));
}

TEST(Tokenizer, SpecialTokensInTextBecomeTheirIds) {
  Json file = byte_level_file({});
  file["added_tokens"] = {added("<s>", {{"special", true}}), added("<s>>")};
  const auto tokenizer = make_tokenizer(file, "file");
  EXPECT_THAT(tokenizer->encode("a<s>b<s>>", true), ElementsAre('a', 256, 'b', 257)) << "the longest at the leftmost place";
  EXPECT_EQ(tokenizer->decode(Ids{'a', 256, 257}, true), "a<s>>");
  EXPECT_EQ(tokenizer->decode(Ids{'a', 256, 257}, false), "a<s><s>>");
  EXPECT_TRUE(tokenizer->is_special(256));
  EXPECT_FALSE(tokenizer->is_special(257));
  EXPECT_EQ(tokenizer->vocab_size(), 258);
  EXPECT_EQ(tokenizer->id_of("<s>"), 256);
  EXPECT_EQ(tokenizer->token_of(256), "<s>");
  EXPECT_EQ(tokenizer->id_of("nothing"), std::nullopt);
}

TEST(Tokenizer, AddedTokensTakeSpaceAndStandAlone) {
  Json file = byte_level_file({});
  file["added_tokens"] = {added("<x>", {{"lstrip", true}, {"rstrip", true}}), added("fox", {{"single_word", true}})};
  EXPECT_THAT(encode(file, "a  <x>\n <x>b"), ElementsAre('a', 256, 256, 'b'));
  EXPECT_THAT(encode(file, "fox.fox"), ElementsAre(257, '.', 257));
  EXPECT_THAT(encode(file, "\u00E9fox"), ElementsAre(0xC3, 0xA9, 'f', 'o', 'x'));
}

TEST(Tokenizer, TemplateSurroundsTheText) {
  Json file = byte_level_file({});
  file["added_tokens"] = {added("<s>", {{"special", true}})};
  file["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<s>", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}}})");
  EXPECT_THAT(encode(file, "a"), ElementsAre(256, 'a', 256));
  EXPECT_THAT(encode(file, "a", false), ElementsAre('a'));
}

TEST(Tokenizer, UnknownCharactersBecomeBytesOrUnknownOrNothing) {
  Json file = plain_file({"a", "<unk>", "<0xC3>", "<0xA9>"});
  EXPECT_THAT(encode(file, "a\u00E9\u00E9"), ElementsAre(0));
  file["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(encode(file, "a\u00E9\u00E9"), ElementsAre(0, 1, 1));
  file["model"]["fuse_unk"] = true;
  EXPECT_THAT(encode(file, "a\u00E9\u00E9"), ElementsAre(0, 1));
  file["model"]["byte_fallback"] = true;
  EXPECT_THAT(encode(file, "a\u00E9"), ElementsAre(0, 2, 3));
  file["model"]["unk_token"] = "<none>";
  EXPECT_THROW(encode(file, "b"), Error);
}

TEST(Tokenizer, ManyThreadsShareOne) {
  const auto tokenizer = make_tokenizer(byte_level_file({{"h", "e"}, {"l", "l"}, {"Ġ", "w"}}), "file");
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i) texts.push_back("hello world " + std::to_string(i % 50) + " well");
  std::vector<Ids> expected;
  for (const auto& text : texts) expected.push_back(tokenizer->encode(text, true));
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < texts.size(); ++i) wrong[t] += tokenizer->encode(texts[i], true) != expected[i];
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreErrors) {
  const auto tokenizer = make_tokenizer(plain_file({"a", "b"}), "file");
  for (const int64_t id : {int64_t{-1}, int64_t{2}, int64_t{1} << 40}) {
    EXPECT_THROW(tokenizer->decode(Ids{id}, false), Error);
    EXPECT_THROW(tokenizer->token_of(id), Error);
    EXPECT_FALSE(tokenizer->is_special(id));
  }
}

TEST(Tokenizer, HostileVocabulariesAreNamed) {
  Json file = plain_file({"a", "b"});
  file["model"]["vocab"]["x"] = 2147483647;
  EXPECT_THAT(error_of(file), HasSubstr("the id of 'x' is 2147483647"));
  file["model"]["vocab"]["x"] = -1;
  EXPECT_THAT(error_of(file), HasSubstr("-1"));
  file["model"]["vocab"]["x"] = 1;
  EXPECT_THAT(error_of(file), HasSubstr("id 1 is given to two tokens"));
  file["model"]["vocab"]["x"] = "2";
  EXPECT_THAT(error_of(file), HasSubstr("no integer"));
}

TEST(Tokenizer, BadMergesAreNamed) {
  EXPECT_THAT(error_of(plain_file({"a", "b", "ab"}, {"a c"})), HasSubstr("merges[0]: token 'c' isn't in the vocabulary"));
  EXPECT_THAT(error_of(plain_file({"a", "b"}, {"a b"})), HasSubstr("token 'ab'"));
  EXPECT_THAT(error_of(plain_file({"a", "b"}, {"a b c"})), HasSubstr("merges[0] is neither"));
  EXPECT_THAT(error_of(plain_file({"a", "b"}, {{"a"}})), HasSubstr("merges[0] is neither"));
}

TEST(Tokenizer, BadAddedTokensAreNamed) {
  Json file = plain_file({"a"});
  file["added_tokens"] = {added("")};
  EXPECT_THAT(error_of(file), HasSubstr("added_tokens[0]: an added token is empty"));
  file["added_tokens"] = {added(std::string(1 << 20, 'x'))};
  EXPECT_THAT(error_of(file), HasSubstr("1048576 bytes"));
  // A vocabulary with a gap: the next id by `tokenizers`' rule is already some token's.
  file["model"]["vocab"] = {{"a", 0}, {"b", 2}};
  file["added_tokens"] = {added("x")};
  EXPECT_THAT(error_of(file), HasSubstr("would get id 2"));
}

TEST(Tokenizer, UnsupportedComponentsAreNamed) {
  const auto with = [](const char* key, const char* value) {
    Json file = plain_file({"a"});
    file[key] = Json::parse(value);
    return error_of(file);
  };
  EXPECT_THAT(with("normalizer", R"({"type": "Nmt"})"), HasSubstr("normalizer 'Nmt' isn't supported"));
  EXPECT_THAT(with("pre_tokenizer", R"({"type": "UnicodeScripts"})"),
              HasSubstr("pre_tokenizer 'UnicodeScripts' isn't supported"));
  EXPECT_THAT(with("post_processor", R"({"type": "Other"})"), HasSubstr("post_processor 'Other' isn't supported"));
  EXPECT_THAT(with("decoder", R"({"type": "CTC"})"), HasSubstr("decoder 'CTC' isn't supported"));
  EXPECT_THAT(with("model", R"({"type": "WordLevel", "vocab": {}})"), HasSubstr("model type 'WordLevel' isn't supported"));
  EXPECT_THAT(with("model", R"({"type": "BPE", "dropout": 0.1, "vocab": {}, "merges": []})"), HasSubstr("dropout"));
  EXPECT_THAT(with("post_processor", R"({"type": "RobertaProcessing", "cls": ["a", 0], "sep": ["b", 7]})"), HasSubstr("id 7"));
}

TEST(Tokenizer, HostilePatternsEndInAnError) {
  Json file = plain_file({"a"});
  const auto split = [&](const std::string& regex) {
    file["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}};
    return make_tokenizer(file, "file");
  };
  EXPECT_THROW(split("(a"), Error);
  EXPECT_THROW(split(R"(\h+)"), Error);
  EXPECT_THROW(split(R"([\w&&[^a]]+)"), Error);
  const std::string text = std::string(10'000, 'a') + "b";
  EXPECT_THROW(split(R"((a+)+\z)")->encode(text, true), Error);
  EXPECT_THROW(split(R"((?:a|aa)+\z)")->encode(text, true), Error);
}

TEST(Tokenizer, RewritingRulesCannotExplode) {
  Json file = plain_file({"a"});
  Json doubling = Json::array();
  for (int i = 0; i < 40; ++i) doubling.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", doubling}};
  EXPECT_THROW(encode(file, "a"), Error);
  file.erase("normalizer");
  file["decoder"] = {{"type", "Sequence"}, {"decoders", doubling}};
  EXPECT_THROW(make_tokenizer(file, "file")->decode(Ids{0}, false), Error);
  Json levels = Json::array();
  for (int i = 0; i < 40; ++i) levels.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", levels}};
  EXPECT_THROW(encode(file, "\n"), Error);
}

TEST(Tokenizer, LoadsAFileOrItsFolder) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("ocelli-tokenizer-{}", ::getpid());
  make_directories(folder);
  write_file_atomic(folder / "tokenizer.json", plain_file({"a", "b"}).dump());
  EXPECT_THAT(load_tokenizer(folder)->encode("ba", true), ElementsAre(1, 0));
  EXPECT_THAT(load_tokenizer(folder / "tokenizer.json")->encode("ba", true), ElementsAre(1, 0));
  write_file_atomic(folder / "tokenizer.json", R"({"model": [)");
  EXPECT_THROW(load_tokenizer(folder), Error);
  std::filesystem::remove_all(folder);
  EXPECT_THROW(load_tokenizer(folder), Error);
}

}  // namespace
}  // namespace ocelli::text
