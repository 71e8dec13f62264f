#include "ocelli/train/trainer.h"

#include <cstdio>

#include "ocelli/base/error.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/run_report.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/report/format.h"

namespace ocelli::cli {
namespace {

struct TrainVerb {
  std::string recipe, out, resume = "auto";
  std::vector<std::string> overrides;
  int64_t max_steps = 0;
  bool dry_run = false, json = false;
  RunOptions run;
};

int train_verb(const TrainVerb& options, bool precision_given) {
  options.run.apply();
  std::vector<std::string> overrides = options.overrides;
  if (precision_given) overrides.push_back("train.precision=\"" + options.run.precision + "\"");
  const train::Recipe recipe = train::Recipe::load(options.recipe, overrides);
  const auto out = options.out.empty() ? std::filesystem::path("runs") / recipe.name : std::filesystem::path(options.out);
  // What the parts don't know or can't be is said before a folder is made. A run under way has its parts in its checkpoints.
  if (options.dry_run || !std::filesystem::exists(out / "recipe.toml")) train::configure(recipe);
  if (options.dry_run) {
    std::fputs(recipe.to_toml().c_str(), stdout);
    return 0;
  }
  watch_interrupts();
  train::TrainOptions how;
  how.out = out;
  how.resume = options.resume;
  how.max_steps = options.max_steps;
  how.stop = &interrupted();
  const train::TrainResult result = train::train(recipe, how);
  if (result.state.step > 0) write_run_report(how.out);  // stopped before the first step there is nothing to show
  if (options.json) {
    print_json({{"run", how.out.string()},
                {"finished", result.finished},
                {"steps", result.state.step},
                {"samples", result.state.samples},
                {"tokens", result.state.tokens},
                {"faults", result.state.faults},
                {"loss", result.last_loss},
                {"train_seconds", result.state.seconds},
                {"peak_tensor_bytes", result.state.peak_tensor_bytes},
                {"resident_before_bytes", result.resident_before_bytes},
                {"peak_resident_bytes", result.peak_resident_bytes},
                {"model", result.model.string()}});
  } else if (result.finished) {
    std::printf("trained: %s\nreport:  %s\nchat:    ocelli chat %s --image PICTURE -p \"QUESTION\"\n", result.model.c_str(),
                (how.out / "report.html").c_str(), result.model.c_str());
  } else {
    std::printf("stopped after step %ld; the same command goes on from there\n", static_cast<long>(result.state.step));
  }
  return interrupted() && !result.finished ? 130 : 0;
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  auto options = std::make_shared<TrainVerb>();
  CLI::App* verb = app.add_subcommand("train", "train what a recipe describes; run again, it goes on where it was stopped");
  verb->add_option("recipe", options->recipe, "a TOML recipe")->required()->type_name("FILE");
  add_repeatable(*verb, "-o", options->overrides,
                 "key=value over the recipe's, such as stage.align.learning_rate=1e-4 (repeatable)");
  verb->add_option("--out", options->out, "run folder (default: runs/<recipe name>)");
  verb->add_option("--resume", options->resume, "auto, never, or a checkpoint folder")->capture_default_str();
  verb->add_option("--max-steps", options->max_steps, "stop after so many steps in all, with a checkpoint")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--dry-run", options->dry_run, "print the resolved recipe and stop");
  verb->add_flag("--json", options->json, "one line of JSON at the end");
  options->run.add_to(*verb);
  verb->callback([options, verb, &action] {
    const bool precision_given = verb->count("--precision") > 0;
    action = [options, precision_given] { return train_verb(*options, precision_given); };
  });
}

}  // namespace ocelli::cli
