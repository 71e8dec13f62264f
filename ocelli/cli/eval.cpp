#include "ocelli/base/error.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/score_table.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/eval/task.h"

#include <cstdio>

namespace ocelli::cli {
namespace {

struct EvalVerb {
  std::string model, out;
  eval::EvalOptions how;
  bool json = false;
  RunOptions run;
};

int evaluate(const EvalVerb& options) {
  if (options.how.task != "exact" && options.how.task != "vqa") {
    throw UsageError(fmt::format("--task {}: known are exact, vqa", options.how.task));
  }
  const LoadedModel loaded = open_model(options.model, options.run);
  infer::Engine engine(loaded.model, loaded.processor);
  const eval::EvalResult result = eval::evaluate(engine, options.how);
  eval::write_result(result, options.out);
  if (options.json) {
    print_json({{"task", result.task},
                {result.task == "vqa" ? "vqa_accuracy" : "exact_match", result.score},
                {"samples", result.predictions.size()},
                {"commonest_answer", result.commonest},
                {"faults", result.faults},
                {"eval_seconds", result.seconds}});
  } else {
    std::fputs(score_table(result).text().c_str(), stdout);
  }
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto options = std::make_shared<EvalVerb>();
  CLI::App* verb = app.add_subcommand("eval", "ask a model every question of a data set and score its answers");
  verb->add_option("model", options->model, "model folder or org/name")->required();
  verb->add_option("--task", options->how.task, "exact (match) or vqa (the official VQA accuracy)")->required();
  verb->add_option("--data", options->how.data, "LLaVA JSON or JSONL")->required()->type_name("FILE");
  verb->add_option("--images", options->how.images, "folder the pictures' paths start from (default: the data's)");
  verb->add_option("--out", options->out, "folder for predictions.jsonl and result.json")->required();
  verb->add_option("--limit", options->how.limit, "only the first so many questions")->check(CLI::NonNegativeNumber);
  verb->add_option("-n", options->how.max_tokens, "most tokens of an answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb->add_flag("--blind", options->how.blind, "show grey pictures: what the questions alone give away");
  verb->add_flag("--json", options->json, "one line of JSON");
  options->run.add_to(*verb);
  verb->callback([options, &action] { action = [options] { return evaluate(*options); }; });
}

}  // namespace ocelli::cli
