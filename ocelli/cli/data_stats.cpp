#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>

#include "ocelli/base/error.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/data_sources.h"
#include "ocelli/data/dataset_stats.h"
#include "ocelli/model/load.h"
#include "ocelli/report/format.h"
#include "ocelli/report/progress.h"
#include "ocelli/report/table.h"
#include "ocelli/train/pass_flops.h"
#include "ocelli/train/stage_data.h"

namespace ocelli::cli {
namespace {

using data::SourceStats;

struct StatsVerb {
  SourceOptions source;
  std::string model;
  int64_t limit = 1000, max_length = 2048;
  int threads = 0;
  bool json = false;
};

/// What counts tokens and costs.
struct Counter {
  std::shared_ptr<model::Model> model;
  std::shared_ptr<const model::Processor> processor;
  std::unique_ptr<data::SampleEncoder> encoder;
};

Counter open_counter(const std::string& name) {
  const auto folder = model::resolve_model(name);
  const model::ModelConfig config = model::ModelConfig::load(folder);
  Counter out;
  out.model = std::make_shared<model::Model>(config);  // counts by its configuration; no weight is read
  out.processor = model::Processor::load(folder, config);
  // Lengths are to be seen as they are, so nothing is cut.
  out.encoder = std::make_unique<data::SampleEncoder>(
      out.processor, [model = out.model](const image::Tiling& tiling) { return model->num_tokens(tiling); }, int64_t{1} << 40);
  return out;
}

/// Stages whose cost is told: the recipe's, or one that trains everything.
std::vector<train::StageRecipe> stages_of(const Sources& sources) {
  if (sources.recipe && !sources.recipe->stages.empty()) return sources.recipe->stages;
  train::StageRecipe all;
  all.name = "all parts trained";
  return {all};
}

/// Passes over each source in one epoch of a stage, by name; sources it does not draw from are absent.
std::map<std::string, double> passes_in(const train::StageRecipe& stage, const Sources& sources) {
  std::map<std::string, double> passes;
  if (!sources.recipe) {
    for (const auto& source : sources.all) passes[source->name()] = 1;
    return passes;
  }
  train::Sources by_name;
  for (const auto& source : sources.all) by_name[source->name()] = source;
  for (const auto& [source, weight] : train::mixture_sources(stage, by_name)) passes[source->name()] = weight;
  return passes;
}

struct Epoch {
  std::string stage;
  double samples = 0, text_tokens = 0, visual_tokens = 0, trained_tokens = 0, flops = 0;
  std::vector<double> samples_by_source, tokens_by_source;
};

Epoch epoch_of(size_t number, const train::StageRecipe& stage, const std::vector<SourceStats>& all, const Sources& sources) {
  Epoch out;
  out.stage = stage.name;
  const std::map<std::string, double> passes = passes_in(stage, sources);
  for (size_t i = 0; i < all.size(); ++i) {
    const SourceStats& source = all[i];
    const auto drawn = passes.find(source.name);
    const double weight = drawn == passes.end() ? 0 : drawn->second;
    const auto times = [&](int64_t counted) { return weight * source.total(static_cast<double>(counted)); };
    out.samples_by_source.push_back(times(source.good()));
    out.tokens_by_source.push_back(times(source.text_tokens + source.visual_tokens));
    out.samples += out.samples_by_source.back();
    out.text_tokens += times(source.text_tokens);
    out.visual_tokens += times(source.visual_tokens);
    out.trained_tokens += times(source.trained_tokens);
    if (number < source.flops.size()) out.flops += weight * source.total(source.flops[number]);
  }
  return out;
}

std::string share(double part, double whole) {
  return whole > 0 ? report::percent(part / whole) : "-";
}

std::string whole(double number) {
  return report::grouped(std::llround(number));
}

void print_sources(const std::vector<SourceStats>& all, bool tokens, int64_t max_length) {
  std::vector<std::string> header = {"source", "samples", "looked at", "broken", "turns", "pictures", "words"};
  if (tokens) {
    for (const char* name : {"text tokens", "visual tokens", "trained", "tokens a sample", "95 % up to"})
      header.emplace_back(name);
    header.push_back(fmt::format("over {}", max_length));
  }
  report::Table table(header);
  bool estimated = false;
  double error = 0;
  for (const SourceStats& source : all) {
    const auto total = [&](int64_t counted) { return whole(source.total(static_cast<double>(counted))); };
    std::vector<std::string> row = {source.name,
                                    report::grouped(source.samples),
                                    report::grouped(source.looked_at),
                                    total(source.faults),
                                    total(source.turns),
                                    total(source.pictures),
                                    total(source.words)};
    if (tokens) {
      const auto sum = static_cast<double>(source.text_tokens + source.visual_tokens);
      row.push_back(total(source.text_tokens));
      row.push_back(total(source.visual_tokens));
      row.push_back(share(static_cast<double>(source.trained_tokens), sum));
      row.push_back(fmt::format("{:.1f}", source.tokens.mean()));
      row.push_back(report::grouped(source.tokens.quantile(0.95)));
      row.push_back(share(static_cast<double>(source.tokens.above(max_length)), static_cast<double>(source.tokens.count())));
    }
    table.add_row(row);
    estimated = estimated || !source.all_seen();
    error = std::max(error, source.token_error());
  }
  std::printf("%s", table.text().c_str());
  if (estimated) {
    std::printf("Estimated from the samples looked at (--limit 0 looks at all)%s.\n",
                tokens ? fmt::format("; tokens to within {} at 95 % confidence", report::percent(error)).c_str() : "");
  }
  for (const SourceStats& source : all) {
    if (source.faults > 0) std::printf("%s: the first broken sample: %s\n", source.name.c_str(), source.first_fault.c_str());
  }
  std::printf("\n");
}

void print_epochs(const std::vector<SourceStats>& all, const std::vector<Epoch>& epochs, bool tokens, bool costs) {
  for (const Epoch& epoch : epochs) {
    report::Table table(
        tokens ? std::vector<std::string>{"one epoch: " + epoch.stage, "samples", "share of samples", "tokens", "share of tokens"}
               : std::vector<std::string>{"one epoch: " + epoch.stage, "samples", "share of samples"});
    const double sum = epoch.text_tokens + epoch.visual_tokens;
    const auto add = [&](const std::string& name, double samples, double count, bool total) {
      std::vector<std::string> row = {name, whole(samples), share(samples, epoch.samples)};
      if (tokens) {
        row.push_back(whole(count));
        row.push_back(share(count, sum));
      }
      total ? table.add_total(row) : table.add_row(row);
    };
    for (size_t i = 0; i < all.size(); ++i) {
      if (epoch.samples_by_source[i] > 0) add(all[i].name, epoch.samples_by_source[i], epoch.tokens_by_source[i], false);
    }
    add("all", epoch.samples, sum, true);
    std::printf("%s", table.text().c_str());
    if (tokens) {
      std::printf("%s of text, %s visual, %s trained on", whole(epoch.text_tokens).c_str(), whole(epoch.visual_tokens).c_str(),
                  share(epoch.trained_tokens, sum).c_str());
      if (costs) std::printf("; %s forward and backward", report::si(epoch.flops, "FLOP").c_str());
      std::printf("\n");
    }
    std::printf("\n");
  }
}

int stats(StatsVerb options) {
  const Stopwatch watch;
  const Sources sources = open_sources(options.source);
  if (options.model.empty() && sources.recipe) options.model = sources.recipe->model.base;
  Counter counter;
  if (!options.model.empty()) counter = open_counter(options.model);
  const std::vector<train::StageRecipe> stages = stages_of(sources);

  data::StatsOptions how;
  how.limit = options.limit;
  how.threads = worker_threads(options.threads);
  how.encoder = counter.encoder.get();
  // The ledger of an encoder-decoder's training is not there yet.
  const bool costs = counter.model && !counter.model->encodes();
  if (costs) {
    how.flops = [&](const std::shared_ptr<const data::EncodedSample>& sample) {
      data::Batch batch;
      for (const model::PixelTiles& picture : sample->pictures) batch.inputs.pictures.push_back(picture.tiling);
      std::vector<double> out;
      for (const train::StageRecipe& stage : stages) {
        out.push_back(train::pass_flops(*counter.model, batch, std::span(&sample, 1), stage));
      }
      return out;
    };
  }
  int64_t total = 0, done = 0;
  for (const auto& source : sources.all) {
    total += options.limit > 0 ? std::min(options.limit, source->size()) : source->size();
  }
  report::Progress progress("counting", total, {.unit = "samples"});
  how.on_sample = [&] {
    if (interrupted().load()) throw Error("interrupted; the count is not complete");
    progress.update(++done);
  };
  std::vector<SourceStats> all;
  for (const auto& source : sources.all) all.push_back(data::count_source(*source, how));
  progress.finish();
  std::vector<Epoch> epochs;
  for (size_t i = 0; i < stages.size(); ++i) epochs.push_back(epoch_of(i, stages[i], all, sources));

  const bool tokens = counter.encoder != nullptr;
  if (!options.json) {
    print_sources(all, tokens, options.max_length);
    print_epochs(all, epochs, tokens, costs);
    if (!tokens) std::printf("Give --model to count tokens and FLOPs.\n");
    return 0;
  }
  OrderedJson counted = OrderedJson::array(), told = OrderedJson::array();
  for (size_t i = 0; i < all.size(); ++i) {
    counted.push_back(all[i].to_json());
    if (tokens) counted.back()["over_max_length"] = all[i].total(static_cast<double>(all[i].tokens.above(options.max_length)));
  }
  for (const Epoch& epoch : epochs) {
    OrderedJson shares = OrderedJson::object();
    const double sum = epoch.text_tokens + epoch.visual_tokens;
    for (size_t i = 0; i < all.size(); ++i) {
      shares[all[i].name] = {{"samples", epoch.samples > 0 ? epoch.samples_by_source[i] / epoch.samples : 0}};
      if (tokens) shares[all[i].name]["tokens"] = sum > 0 ? epoch.tokens_by_source[i] / sum : 0;
    }
    told.push_back({{"stage", epoch.stage}, {"samples", epoch.samples}, {"shares", shares}});
    if (tokens) {
      told.back()["text_tokens"] = epoch.text_tokens;
      told.back()["visual_tokens"] = epoch.visual_tokens;
      told.back()["trained_tokens"] = epoch.trained_tokens;
    }
    if (costs) told.back()["flops"] = epoch.flops;
  }
  print_json({{"sources", counted}, {"epochs", told}, {"stats_seconds", watch.seconds()}});
  return 0;
}

}  // namespace

void add_data_stats(CLI::App& data, Action& action) {
  auto options = std::make_shared<StatsVerb>();
  CLI::App* verb =
      data.add_subcommand("stats", "samples, pictures and tokens of each source, its shares, and what an epoch costs");
  options->source.add_to(*verb);
  verb->add_option("--model", options->model,
                   "model folder or org/name whose tokenizer and tiling count (default: the recipe's base); no weight is read");
  verb->add_option("--limit", options->limit, "samples of each source looked at, drawn at random; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--max-length", options->max_length, "tokens above which samples are counted as too long")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_worker_threads(*verb, options->threads);
  verb->add_flag("--json", options->json, "one line of JSON");
  set_watched_action(*verb, action, [options] { return stats(*options); });
}

}  // namespace ocelli::cli
