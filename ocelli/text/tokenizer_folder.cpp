#include <array>
#include <string_view>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/text/folder_tokens.h"
#include "ocelli/text/old_files.h"
#include "ocelli/text/qwen_tokenizer.h"
#include "ocelli/text/sentencepiece_tokenizer.h"
#include "ocelli/text/tokenizer.h"

namespace ocelli::text {

namespace {

namespace fs = std::filesystem;
using TokenizerPointer = std::shared_ptr<const Tokenizer>;

constexpr uint64_t kMaxFileBytes = 256ULL << 20;

TokenizerPointer open_json(const fs::path& file) {
  return make_tokenizer(read_json(file, {.max_bytes = kMaxFileBytes, .reject_duplicate_keys = false}), file.string());
}

TokenizerPointer open_sentencepiece(const fs::path& file) {
  FolderTokens tokens = read_folder_tokens(file.parent_path());
  if (tokens.tokenizer_class.empty() && file.filename() == "spiece.model") tokens.tokenizer_class = "T5Tokenizer";
  return make_sentencepiece_tokenizer(parse_sentencepiece(read_file(file, kMaxFileBytes), file.string()), std::move(tokens),
                                      file.string());
}

TokenizerPointer open_qwen(const fs::path& file) {
  QwenOptions options;
  // A language model alone has no picture tags; a vision part says how many ids a picture takes.
  if (const fs::path config = file.parent_path() / "config.json"; fs::exists(config)) {
    const Json json = read_json(config);
    const JsonView view(json, config.string());
    options.vision = view.has("visual");
    if (options.vision) options.image_span = view.object("visual").integer_in("n_queries", 1, 1 << 20, options.image_span);
  }
  return make_qwen_tokenizer(read_file(file, kMaxFileBytes), file.string(), options);
}

TokenizerPointer open_byte_level(const fs::path& file) {
  const fs::path merges = file.parent_path() / "merges.txt";
  require(fs::is_regular_file(merges), "{}: merges.txt isn't beside it", file.string());
  return make_tokenizer(byte_level_document(read_json(file, {.max_bytes = kMaxFileBytes, .reject_duplicate_keys = false}),
                                            read_file(merges, kMaxFileBytes), read_folder_tokens(file.parent_path())),
                        file.string());
}

TokenizerPointer open_wordpiece(const fs::path& file) {
  return make_tokenizer(wordpiece_document(read_file(file, kMaxFileBytes), read_folder_tokens(file.parent_path())),
                        file.string());
}

struct Kind {
  std::string_view name;
  TokenizerPointer (*open)(const fs::path& file);
};
// In the order in which a folder is searched.
constexpr std::array kKinds = {
    Kind{"tokenizer.json", open_json}, Kind{"tokenizer.model", open_sentencepiece}, Kind{"spiece.model", open_sentencepiece},
    Kind{"qwen.tiktoken", open_qwen},  Kind{"vocab.json", open_byte_level},         Kind{"vocab.txt", open_wordpiece},
};

std::string known_names() {
  std::string names;
  for (const Kind& kind : kKinds) {
    if (!names.empty()) names += ", ";
    names += kind.name;
  }
  return names;
}

}  // namespace

fs::path find_tokenizer(const fs::path& folder) {
  for (const Kind& kind : kKinds) {
    if (fs::is_regular_file(folder / kind.name)) return folder / kind.name;
  }
  return {};
}

std::shared_ptr<const Tokenizer> load_tokenizer(const fs::path& path) {
  const bool folder = fs::is_directory(path);
  const fs::path file = folder ? find_tokenizer(path) : path;
  require(!file.empty(), "{}: no tokenizer is in this folder (looked for {})", path.string(), known_names());
  for (const Kind& kind : kKinds) {
    if (file.filename() == kind.name) return kind.open(file);
  }
  if (file.extension() == ".json") return open_json(file);
  if (file.extension() == ".model") return open_sentencepiece(file);
  if (file.extension() == ".tiktoken") return open_qwen(file);
  fail("{}: no known kind of tokenizer (known are {})", file.string(), known_names());
}

}  // namespace ocelli::text
