#include <ATen/Parallel.h>

#include <cstdio>
#include <map>
#include <optional>
#include <set>

#include "ocelli/base/cpu.h"
#include "ocelli/base/error.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/picture_size.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/model/load.h"
#include "ocelli/report/format.h"
#include "ocelli/report/table.h"
#include "ocelli/train/assemble.h"
#include "ocelli/train/recipe.h"

namespace ocelli::cli {
namespace {

struct ExplainOptions {
  std::string target;
  std::vector<std::string> images, overrides;
  int64_t text_tokens = 64;
  double gmacs = 0;
  bool json = false;
  RunOptions run;
};

/// What is explained, from configurations alone: no weight is read, no data opened.
struct Explained {
  std::shared_ptr<model::Model> model;
  std::optional<model::ImageProcessor> images;
  std::optional<train::Recipe> recipe;
};

Explained configured(const ExplainOptions& options) {
  if (options.target.ends_with(".toml")) {
    train::Recipe recipe = train::Recipe::load(options.target, options.overrides);
    train::Configured made = train::configure(recipe);
    return {std::make_shared<model::Model>(made.config), made.images, std::move(recipe)};
  }
  if (!options.overrides.empty()) throw UsageError("-o: changes a recipe, but a model is explained");
  const auto folder = model::resolve_model(options.target);
  const model::ModelConfig config = model::ModelConfig::load(folder);
  return {std::make_shared<model::Model>(config), model::Processor::load(folder, config)->images(), std::nullopt};
}

/// Bytes training holds whatever the batch: the weights computed with, and of each part its costliest stage trains gradients and
/// two fp32 moments, and in bf16 the fp32 weights behind it.
double training_bytes(const model::Model& model, const train::Recipe& recipe, int64_t weight_bytes) {
  std::map<std::string, double> elements;
  double held = 0;
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& parameter) {
    double count = 1;
    for (const int64_t side : parameter.shape) count *= static_cast<double>(side);
    if (!parameter.buffer) elements[std::string(model::part_of(name))] += count;
    held += count * static_cast<double>(parameter.buffer ? 4 : weight_bytes);
  });
  double most = 0;
  std::set<std::string> ever;
  for (const train::StageRecipe& stage : recipe.stages) {
    double bytes = 0;
    for (const auto& [part, count] : elements) {
      if (!stage.trains(part) || stage.learning_rate.at(part) <= 0) continue;
      ever.insert(part);
      bytes += count * static_cast<double>(weight_bytes + 8);
    }
    most = std::max(most, bytes);
  }
  if (weight_bytes < 4) {
    for (const std::string& part : ever) held += 4 * elements[part];
  }
  return held + most;
}

int explain(const ExplainOptions& options) {
  options.run.apply();
  const Explained target = configured(options);
  const auto& model = target.model;
  Workload work;
  work.text_tokens = options.text_tokens;
  work.weight_bytes = work.activation_bytes = options.run.dtype() == at::kBFloat16 ? 2 : 4;
  OrderedJson pictures = OrderedJson::array();
  report::Table tokens({"picture", "tiles", "visual tokens", "why"});
  for (const std::string& text : options.images) {
    if (!model->has_pictures()) throw UsageError("--image: this model sees no pictures");
    const auto [width, height] = size_of_picture("--image", text);
    const image::Tiling tiling = target.images->of_prompt(options.images.size()).tiling(width, height);
    const int64_t count = model->num_tokens(tiling);
    const std::string why = model->reason(tiling);
    for (int64_t i = 0; i < tiling.count(); ++i) {
      const image::Size view = tiling.view_size(i);
      work.tiles.emplace_back(view.height, view.width);
    }
    ++work.pictures;
    work.visual_tokens += count;
    pictures.push_back({{"width", width}, {"height", height}, {"tiles", tiling.count()}, {"tokens", count}, {"why", why}});
    tokens.add_row({text, std::to_string(tiling.count()), std::to_string(count), why});
  }
  const Ledger ledger = model->cost(work);
  const Cost total = ledger.total();
  // All weights, the cache, and the widest row of activations at work twice over.
  const language::DecoderConfig& decoder = model->config().decoder;
  const double rows = static_cast<double>(work.visual_tokens + work.text_tokens);
  const double activations =
      rows * static_cast<double>((4 * decoder.hidden_size + 3 * decoder.intermediate_size) * work.activation_bytes);
  const double memory = static_cast<double>(total.parameters * work.weight_bytes) + total.cache_bytes + activations;
  double training = 0;
  if (target.recipe) {
    const bool low = target.recipe->precision == "bf16" || (target.recipe->precision == "auto" && bf16_is_native());
    training = training_bytes(*model, *target.recipe, low ? 2 : 4);
  }
  // Compute at the measured rate, or reading the weights at 10 GB/s, whichever is longer.
  const double rate = options.gmacs > 0 ? options.gmacs : 50;
  const double seconds = std::max(total.flops / 2 / (rate * 1e9), total.weight_bytes / 10e9);
  if (options.json) {
    Json parts = ledger.to_json();
    parts.erase("total");
    OrderedJson line = {{"pictures", pictures},
                        {"visual_tokens", work.visual_tokens},
                        {"text_tokens", work.text_tokens},
                        {"parts", parts},
                        {"parameters", total.parameters},
                        {"flops", total.flops},
                        {"cache_bytes", total.cache_bytes},
                        {"peak_memory_bytes", memory},
                        {"estimate_seconds", seconds},
                        {"assumed_gmacs", rate}};
    if (training > 0) line["training_memory_bytes"] = training;
    print_json(line);
    return 0;
  }
  if (!options.images.empty()) std::printf("%s\n", tokens.text().c_str());
  report::Table parts({"part", "parameters", "FLOPs", "weights", "activations moved", "KV cache"});
  const auto row = [](const std::string& name, const Cost& cost) {
    return std::vector<std::string>{name,
                                    report::si(static_cast<double>(cost.parameters)),
                                    report::si(cost.flops),
                                    report::bytes(cost.weight_bytes),
                                    report::bytes(cost.activation_bytes),
                                    report::bytes(cost.cache_bytes)};
  };
  for (const auto& [name, cost] : ledger.rows()) parts.add_row(row(name, cost));
  parts.add_total(row("all", total));
  std::printf("%s\nprefill of %ld visual and %ld text tokens: %s at %.0f GMAC/s; peak memory about %s\n", parts.text().c_str(),
              static_cast<long>(work.visual_tokens), static_cast<long>(work.text_tokens), report::duration(seconds).c_str(), rate,
              report::bytes(memory).c_str());
  if (training > 0) {
    std::printf("training holds %s of weights, gradients and moments; activations go by max_tokens_per_step\n",
                report::bytes(training).c_str());
  }
  return 0;
}

}  // namespace

void add_explain(CLI::App& app, Action& action) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* verb = app.add_subcommand("explain", "what a model costs, part by part, before anything is run");
  verb->add_option("target", options->target, "a recipe (.toml), a model folder or org/name")->required();
  add_repeatable(*verb, "-o", options->overrides, "key=value over the recipe's (repeatable)");
  add_repeatable(*verb, "--image", options->images, "WIDTHxHEIGHT of a picture (repeatable)");
  verb->add_option("--text-tokens", options->text_tokens, "tokens of text beside the pictures")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--gmacs", options->gmacs,
                   "multiply-adds per second the estimate assumes, in 1e9 (`ocelli doctor` measures them)");
  verb->add_flag("--json", options->json, "one line of JSON");
  options->run.add_to(*verb);
  verb->callback([options, &action] { action = [options] { return explain(*options); }; });
}

}  // namespace ocelli::cli
