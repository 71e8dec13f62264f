#include <cstdio>

#include "ocelli/base/error.h"
#include "ocelli/base/log.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/run_report.h"
#include "ocelli/cli/score_table.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/data/demo_data.h"
#include "ocelli/eval/task.h"
#include "ocelli/report/format.h"
#include "ocelli/train/trainer.h"

namespace ocelli::cli {
namespace {

namespace fs = std::filesystem;

struct DemoOptions {
  std::string out = "runs/demo", recipe, split = "test";
  std::vector<std::string> overrides;
  int64_t limit = 0;
  bool json = false;
  RunOptions run;
};

/// The checkout this program was built in: build/<preset>/bin lies three folders below it.
fs::path repository() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  return failed ? fs::current_path() : program.parent_path().parent_path().parent_path().parent_path();
}

/// The recipe with the prepared data in it.
std::vector<std::string> overrides_for(const data::DemoData& data) {
  // A path may hold quotes; JSON's escapes are TOML's.
  const auto quoted = [](const fs::path& path) { return Json(fs::absolute(path).string()).dump(); };
  const auto source = [&](const std::string& name, const data::DemoSource& from) {
    return std::vector<std::string>{"data." + name + ".path=" + quoted(from.train.file),
                                    "data." + name + ".images=" + quoted(from.images)};
  };
  std::vector<std::string> out;
  for (const char* name : {"easy-vqa", "easy-vqa-shapes", "easy-vqa-open"}) {
    for (const std::string& text : source(name, data.easy_vqa)) out.push_back(text);
  }
  for (const std::string& text : source("fashion-mnist", data.fashion_mnist)) out.push_back(text);
  return out;
}

/// Scores one data set, seeing and blind, into a folder the run's report reads.
eval::EvalResult evaluate(infer::Engine& engine, const std::string& name, const data::DemoSource& source,
                          const DemoOptions& options, const fs::path& out) {
  eval::EvalOptions how;
  how.data = (options.split == "test" ? source.test : source.validation).file;
  how.images = source.images;
  how.max_tokens = 8;
  how.limit = options.limit;
  eval::EvalResult result = eval::evaluate(engine, how);
  how.blind = true;
  eval::add_blind(result, eval::evaluate(engine, how));
  result.name = name + ", " + options.split + " split";
  eval::write_result(result, out);
  return result;
}

void print_score(const eval::EvalResult& result) {
  std::fprintf(stderr, "\n%s\n%s", result.name.c_str(), score_table(result).text().c_str());
  std::fprintf(stderr, "the same model, shown grey pictures: %s\n", report::percent(*result.blind, 2).c_str());
}

void ask_a_few(const eval::EvalResult& result, size_t count) {
  const auto& all = result.predictions;
  for (size_t i = 0; i < count && i < all.size(); ++i) {
    const eval::Prediction& one = all[i * all.size() / count];
    std::fprintf(stderr, "  %s\n    %s  ->  %s   (truth: %s)\n", one.pictures.empty() ? "" : one.pictures[0].c_str(),
                 one.question.c_str(), one.prediction.c_str(), one.references[0].c_str());
  }
}

int demo(const DemoOptions& options, bool precision_given) {
  options.run.apply();
  const fs::path root = repository();
  const fs::path recipe_file = options.recipe.empty() ? root / "recipes" / "demo.toml" : fs::path(options.recipe);
  require(fs::exists(recipe_file), "demo: {} is missing; give it with --recipe", recipe_file.string());
  fs::path out = fs::path(options.out).lexically_normal();
  if (!out.has_filename()) out = out.parent_path();  // "runs/demo/": the data goes beside the folder, not into it

  data::DemoDataOptions prepare;
  prepare.repo_root = root;
  prepare.out = fs::path(out.string() + "-data");
  const data::DemoData data = data::prepare_demo_data(prepare);
  log::info("data: {} pictures with {} questions (easy-VQA), {} garments (Fashion-MNIST)", data.easy_vqa.train.pictures,
            data.easy_vqa.train.questions, data.fashion_mnist.train.pictures);

  std::vector<std::string> overrides = overrides_for(data);
  overrides.insert(overrides.end(), options.overrides.begin(), options.overrides.end());
  if (precision_given) overrides.push_back("train.precision=\"" + options.run.precision + "\"");
  watch_interrupts();
  const train::Recipe recipe = train::Recipe::load(recipe_file, overrides);
  const train::TrainResult trained = train::train(recipe, {.out = out, .stop = &interrupted()});
  if (!trained.finished || interrupted()) {
    std::fprintf(stderr, "stopped after step %ld; the same command goes on from there\n", static_cast<long>(trained.state.step));
    return 130;
  }
  end_at_interrupts();  // an evaluation is done again from its start

  RunOptions exact = options.run;
  exact.precision = "fp32";
  const LoadedModel loaded = open_model(trained.model.string(), exact);
  infer::Engine engine(loaded.model, loaded.processor);
  const eval::EvalResult easy_vqa = evaluate(engine, "easy-VQA", data.easy_vqa, options, out / "eval-easy-vqa");
  const eval::EvalResult fashion = evaluate(engine, "Fashion-MNIST", data.fashion_mnist, options, out / "eval-fashion-mnist");
  write_run_report(out);

  for (const eval::EvalResult* result : {&easy_vqa, &fashion}) print_score(*result);
  std::fputs("\na few answers:\n", stderr);
  for (const eval::EvalResult* result : {&easy_vqa, &fashion}) ask_a_few(*result, 4);
  const std::string picture = easy_vqa.predictions[0].pictures[0].string();
  std::fprintf(stderr, "\nreport: %s\nchat:   %s chat %s --image %s -p \"what color is the shape?\"\n",
               (out / "report.html").c_str(), fs::read_symlink("/proc/self/exe").c_str(), trained.model.c_str(), picture.c_str());
  if (options.json) {
    const auto color = easy_vqa.by_type.find("color");
    print_json({{"train_seconds", trained.state.seconds},
                {"easy_vqa", easy_vqa.score},
                {"easy_vqa_color", color == easy_vqa.by_type.end() ? 0.0 : color->second.score},
                {"fashion_mnist", fashion.score},
                {"parameters", nn::count_parameters(*loaded.model)},
                {"model", trained.model.string()}});
  }
  return 0;
}

}  // namespace

void add_demo(CLI::App& app, Action& action) {
  auto options = std::make_shared<DemoOptions>();
  CLI::App* verb =
      app.add_subcommand("demo", "the whole chain: prepare data, train a small model, evaluate it, ask it, write a report");
  verb->add_option("--out", options->out, "run folder; the prepared data goes beside it")->capture_default_str();
  verb->add_option("--recipe", options->recipe, "another recipe than recipes/demo.toml");
  add_repeatable(*verb, "-o", options->overrides, "key=value over the recipe's (repeatable)");
  verb->add_option("--split", options->split, "evaluate on test, or on validation to choose by")
      ->check(CLI::IsMember({"test", "validation"}));
  verb->add_option("--limit", options->limit, "only the first so many questions of each set (default: all)")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--json", options->json, "one line of JSON at the end");
  options->run.add_to(*verb);
  verb->callback([options, verb, &action] {
    const bool precision_given = verb->count("--precision") > 0;
    action = [options, precision_given] { return demo(*options, precision_given); };
  });
}

}  // namespace ocelli::cli
