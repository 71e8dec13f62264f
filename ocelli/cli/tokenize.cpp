#include <cstdio>
#include <iostream>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/model/load.h"

namespace ocelli::cli {
namespace {

struct TokenizeOptions {
  std::string model, out;
  std::vector<std::string> train;
  int64_t vocab_size = 4096;
  bool no_special = false, jsonl = false, decode = false, chat = false;
};

int train_tokenizer(const TokenizeOptions& options) {
  if (options.out.empty()) throw UsageError("tokenize --train: give the folder to write with --out");
  std::vector<std::string> texts;
  for (const std::string& file : options.train) texts.push_back(read_file(file, 4ULL << 30));
  const Json tokenizer = text::train_byte_level_bpe(
      texts, {.vocab_size = options.vocab_size, .min_frequency = 2, .special_tokens = {"<|bos|>", "<|end|>"}});
  make_directories(options.out);
  write_file_atomic(std::filesystem::path(options.out) / "tokenizer.json", tokenizer.dump(2) + "\n");
  const Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                       {"bos_token", "<|bos|>"},
                       {"eos_token", "<|end|>"},
                       {"clean_up_tokenization_spaces", false}};
  write_file_atomic(std::filesystem::path(options.out) / "tokenizer_config.json", config.dump(2) + "\n");
  return 0;
}

/// The text of a line: itself, or the JSON string on it.
std::string text_of(const std::string& line, bool jsonl, int64_t number) {
  if (!jsonl) return line;
  const Json json = parse_json(line, "line " + std::to_string(number));
  require(json.is_string(), "line {}: expected a JSON string", number);
  return json.get<std::string>();
}

int tokenize(const TokenizeOptions& options) {
  if (!options.train.empty()) return train_tokenizer(options);
  if (options.model.empty()) throw UsageError("tokenize: give a model folder, or --train FILES");
  const std::filesystem::path folder = std::filesystem::is_regular_file(options.model)
                                           ? std::filesystem::path(options.model).parent_path()
                                           : model::resolve_model(options.model);
  const model::Processor processor(model::Processor::load_text(folder));
  const text::Tokenizer& tokenizer = processor.tokenizer();
  int64_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    const std::string origin = "line " + std::to_string(number);
    if (options.decode) {
      const Json json = parse_json(line, origin);
      require(json.is_array(), "{}: expected a JSON array of ids", origin);
      std::vector<int64_t> ids;
      for (const Json& id : json) {
        require(id.is_number_integer(), "{}: {} is no id", origin, id.dump());
        ids.push_back(id.get<int64_t>());
      }
      const std::string text = tokenizer.decode(ids, options.no_special);
      if (options.jsonl) {
        print_json(text);
      } else {
        std::cout << text << "\n";
      }
    } else if (options.chat) {
      const OrderedJson messages = parse_ordered_json(line, origin);
      require(messages.is_array(), "{}: expected a JSON array of messages", origin);
      const std::string text = processor.render(messages, true);
      print_json({{"text", text}, {"ids", processor.encode(text)}});
    } else {
      print_json(tokenizer.encode(text_of(line, options.jsonl, number), !options.no_special));
    }
  }
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* verb = app.add_subcommand("tokenize", "text on stdin to ids, one JSON array a line; or train a tokenizer");
  verb->add_option("model", options->model, "folder with tokenizer.json, or org/name");
  verb->add_flag("--no-special", options->no_special, "add no special tokens; with --decode, leave them out");
  verb->add_flag("--jsonl", options->jsonl, "each line is a JSON string");
  auto* decode = verb->add_flag("--decode", options->decode, "ids to text");
  verb->add_flag("--chat", options->chat, "each line is a JSON array of messages; prints the rendered text and its ids")
      ->excludes(decode);
  verb->add_option("--train", options->train, "train a byte-level BPE on these text files")->type_name("FILE");
  verb->add_option("--vocab-size", options->vocab_size, "entries of the trained tokenizer")
      ->check(CLI::Range(258, 1 << 21))
      ->capture_default_str();
  verb->add_option("--out", options->out, "folder the trained tokenizer goes to");
  verb->callback([options, &action] { action = [options] { return tokenize(*options); }; });
}

}  // namespace ocelli::cli
