#include <ATen/ATen.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "ocelli/base/error.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/prompt_options.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/infer/engine.h"

namespace ocelli::cli {
namespace {

struct ChatOptions {
  std::string model;
  PromptOptions prompt;
  infer::SamplingOptions sampling;
  int64_t context = 4096;
  bool json = false;
  RunOptions run;
};

/// Prints text as tokens come, never half of a UTF-8 character: what ends in an unfinished one waits.
class Printer {
 public:
  explicit Printer(const model::Processor& processor) : processor_(processor) {}
  void add(int64_t id) {
    ids_.push_back(id);
    const std::string text = processor_.decode(ids_);
    if (text.size() > shown_ && !text.ends_with("\xEF\xBF\xBD")) {
      std::fwrite(text.data() + shown_, 1, text.size() - shown_, stdout);
      std::fflush(stdout);
      shown_ = text.size();
    }
  }
  void finish() {
    const std::string text = processor_.decode(ids_);
    if (text.size() > shown_) std::fwrite(text.data() + shown_, 1, text.size() - shown_, stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }

 private:
  const model::Processor& processor_;
  std::vector<int64_t> ids_;
  size_t shown_ = 0;
};

void print_timings(const infer::Generation& answer) {
  const double tokens = static_cast<double>(answer.ids.size());
  std::fprintf(stderr, "encode %.1f ms | prefill %ld tokens %.1f ms | decode %zu tokens %.1f ms (%.1f tokens/s)\n",
               answer.timings.encode, static_cast<long>(answer.prompt_tokens - answer.cached_tokens), answer.timings.prefill,
               answer.ids.size(), answer.timings.decode, answer.timings.decode > 0 ? tokens * 1000 / answer.timings.decode : 0.0);
}

int one_answer(const ChatOptions& options, const LoadedModel& loaded, double load_ms) {
  const Stopwatch watch;
  const auto pictures = read_pictures(*loaded.processor, options.prompt.images);
  const Prompt prompt = options.prompt.read(loaded, pictures);
  const double preprocess_ms = watch.milliseconds();
  infer::Engine engine(loaded.model, loaded.processor, {.context = options.context});
  Printer printer(*loaded.processor);
  const infer::Generation answer = engine.generate(
      prompt.ids, pictures, options.sampling,
      [&](int64_t id) {
        if (!options.json) printer.add(id);
      },
      prompt.boxes, prompt.instruction_ids);
  if (!options.json) {
    printer.finish();
    print_timings(answer);
    return 0;
  }
  OrderedJson out = {
      {"text", loaded.processor->has_tokenizer() ? OrderedJson(loaded.processor->decode(answer.ids)) : OrderedJson(nullptr)},
      {"tokens", answer.ids},
      {"usage", {{"prompt", answer.prompt_tokens}, {"image", answer.image_tokens}, {"completion", answer.ids.size()}}},
      {"timings",
       {{"load_ms", load_ms},
        {"preprocess_ms", preprocess_ms},
        {"encode_ms", answer.timings.encode},
        {"prefill_ms", answer.timings.prefill},
        {"decode_ms", answer.timings.decode}}}};
  if (!answer.boxes.empty()) out["boxes"] = answer.boxes;  // in [0, 1] of the padded square
  print_json(out);
  return 0;
}

/// A conversation at the terminal. `/image FILE` adds a picture to the next message, `/clear` starts anew, `/exit` or end of
/// input ends.
int conversation(const ChatOptions& options, const LoadedModel& loaded) {
  infer::Engine engine(loaded.model, loaded.processor, {.context = options.context});
  std::vector<std::string> waiting = options.prompt.images;
  std::vector<model::PixelTiles> pictures;
  OrderedJson messages = OrderedJson::array();
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal) std::fputs("/image FILE adds a picture, /clear starts anew, /exit ends\n", stderr);
  while (true) {
    if (terminal) std::fputs("> ", stderr);
    std::string line;
    if (!std::getline(std::cin, line) || line == "/exit" || line == "/quit") return 0;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (line == "/clear") {
      messages = OrderedJson::array();
      pictures.clear();
      waiting.clear();
      continue;
    }
    if (line.starts_with("/image ")) {
      waiting.push_back(line.substr(7));
      continue;
    }
    // A message that fails leaves the conversation as it was.
    try {
      std::vector<model::PixelTiles> seen = pictures;
      for (model::PixelTiles& picture : read_pictures(*loaded.processor, waiting)) seen.push_back(std::move(picture));
      OrderedJson asked = messages;
      asked.push_back(user_message(line, waiting.size()));
      const std::vector<int64_t> counts = visual_counts(*loaded.model, seen);
      const std::vector<int64_t> ids =
          loaded.processor->expand(loaded.processor->encode(loaded.processor->render(asked, true)), counts, {}, tilings_of(seen));
      Printer printer(*loaded.processor);
      const std::vector<int64_t> instruction = seen.empty() ? std::vector<int64_t>() : loaded.processor->instruction_ids(line);
      const infer::Generation answer = engine.generate(
          ids, seen, options.sampling, [&](int64_t id) { printer.add(id); }, {}, instruction);
      printer.finish();
      asked.push_back({{"role", "assistant"}, {"content", loaded.processor->decode(answer.ids)}});
      messages = std::move(asked);
      pictures = std::move(seen);
      waiting.clear();
    } catch (const Error& error) {
      std::fprintf(stderr, "ocelli: %s\n", error.what());
      waiting.clear();
    }
  }
}

int chat(const ChatOptions& options) {
  options.sampling.validate();
  const Stopwatch watch;
  const LoadedModel loaded = open_model(options.model, options.run);
  const double load_ms = watch.milliseconds();
  if (options.prompt.given()) return one_answer(options, loaded, load_ms);
  if (options.json) throw UsageError("chat --json: give a prompt with -p or --prompt-file");
  return conversation(options, loaded);
}

}  // namespace

void add_chat(CLI::App& app, Action& action) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App* verb = app.add_subcommand("chat", "ask about pictures; without -p a conversation at the terminal");
  verb->add_option("model", options->model, "model folder or org/name")->required();
  options->prompt.add_to(*verb, true);
  verb->add_option("-n", options->sampling.max_tokens, "most tokens of an answer")->capture_default_str();
  verb->add_option("-c", options->context, "tokens the cache holds")->capture_default_str();
  verb->add_option("--temp", options->sampling.temperature, "temperature; 0: always the most likely token")
      ->capture_default_str();
  verb->add_option("--top-k", options->sampling.top_k, "choose among the k most likely; 0: all")->capture_default_str();
  verb->add_option("--top-p", options->sampling.top_p, "choose among the fewest that hold this probability")
      ->capture_default_str();
  verb->add_option("--seed", options->sampling.seed, "of the choices")->capture_default_str();
  verb->add_flag("--json", options->json, "one line of JSON: text, tokens, usage, timings");
  options->run.add_to(*verb);
  verb->callback([options, &action] { action = [options] { return chat(*options); }; });
}

}  // namespace ocelli::cli
