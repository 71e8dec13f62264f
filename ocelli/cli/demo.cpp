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
  const auto source = [](const std::string& name, const data::DemoSource& from) {
    return std::vector<std::string>{"data." + name + ".path=\"" + fs::absolute(from.train.file).string() + "\"",
                                    "data." + name + ".images=\"" + fs::absolute(from.images).string() + "\""};
  };
  std::vector<std::string> out;
  for (const char* name : {"easy-vqa", "easy-vqa-shapes", "easy-vqa-open"}) {
    for (const std::string& text : source(name, data.easy_vqa)) out.push_back(text);
  }
  for (const std::string& text : source("fashion-mnist", data.fashion_mnist)) out.push_back(text);
  return out;
}

/// Scores one data set, seeing and blind.
ReportedScore evaluate(infer::Engine& engine, const std::string& name, const data::DemoSource& source, const std::string& split,
                       const fs::path& out) {
  eval::EvalOptions how;
  how.data = (split == "test" ? source.test : source.validation).file;
  how.images = source.images;
  how.max_tokens = 8;
  ReportedScore score{name + ", " + split + " split", eval::evaluate(engine, how), std::nullopt};
  eval::write_result(score.result, out);
  how.blind = true;
  score.blind = eval::evaluate(engine, how);
  return score;
}

void print_score(const ReportedScore& score) {
  std::fprintf(stderr, "\n%s\n%s", score.name.c_str(), score_table(score.result).text().c_str());
  std::fprintf(stderr, "the same model, shown grey pictures: %s\n", report::percent(score.blind->score, 2).c_str());
}

void ask_a_few(const ReportedScore& score, size_t count) {
  const auto& all = score.result.predictions;
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
  const fs::path out = options.out;

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
  if (!trained.finished) {
    std::fprintf(stderr, "stopped after step %ld; the same command goes on from there\n", static_cast<long>(trained.state.step));
    return 130;
  }

  RunOptions exact = options.run;
  exact.precision = "fp32";
  const LoadedModel loaded = open_model(trained.model.string(), exact);
  infer::Engine engine(loaded.model, loaded.processor);
  ReportExtras extras;
  extras.training = trained;
  extras.scores.push_back(evaluate(engine, "easy-VQA", data.easy_vqa, options.split, out / "eval-easy-vqa"));
  extras.scores.push_back(evaluate(engine, "Fashion-MNIST", data.fashion_mnist, options.split, out / "eval-fashion-mnist"));
  write_run_report(out, extras);

  for (const ReportedScore& score : extras.scores) print_score(score);
  std::fputs("\na few answers:\n", stderr);
  for (const ReportedScore& score : extras.scores) ask_a_few(score, 4);
  const std::string picture = extras.scores[0].result.predictions[0].pictures[0].string();
  std::fprintf(stderr, "\nreport: %s\nchat:   %s chat %s --image %s -p \"what color is the shape?\"\n",
               (out / "report.html").c_str(), fs::read_symlink("/proc/self/exe").c_str(), trained.model.c_str(), picture.c_str());
  if (options.json) {
    print_json({{"train_seconds", trained.seconds},
                {"easy_vqa", extras.scores[0].result.score},
                {"easy_vqa_color", extras.scores[0].result.by_type.at("color").score},
                {"fashion_mnist", extras.scores[1].result.score},
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
  verb->add_option("-o", options->overrides, "key=value over the recipe's (repeatable)")->take_all();
  verb->add_option("--split", options->split, "evaluate on test, or on validation to choose by")
      ->check(CLI::IsMember({"test", "validation"}));
  verb->add_flag("--json", options->json, "one line of JSON at the end");
  options->run.add_to(*verb);
  verb->callback([options, verb, &action] {
    const bool precision_given = verb->count("--precision") > 0;
    action = [options, precision_given] { return demo(*options, precision_given); };
  });
}

}  // namespace ocelli::cli
