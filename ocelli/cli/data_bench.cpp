#include <algorithm>
#include <cstdio>

#include "ocelli/base/cpu.h"
#include "ocelli/base/error.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/data_verbs.h"
#include "ocelli/data/loader.h"
#include "ocelli/model/load.h"
#include "ocelli/report/format.h"
#include "ocelli/report/table.h"

namespace ocelli::cli {
namespace {

struct LoaderBench {
  SourceOptions source;
  std::string model;
  int64_t samples = 0, max_length = 1 << 20;
  bool json = false;
  RunOptions run;
};

int bench(LoaderBench options) {
  const Stopwatch opening;
  const auto source = options.source.open();
  const double open_seconds = opening.seconds();
  const LoadedModel loaded = open_model(options.model, options.run);
  const data::Mixture mixture({{source, 1.0}}, 1);
  const data::SampleEncoder encoder(
      loaded.processor, [&](const image::Tiling& tiling) { return loaded.model->num_tokens(tiling); }, options.max_length);
  const int threads = options.run.threads > 0 ? options.run.threads : std::max(1, cpu_info().logical_cores);
  const int64_t count = options.samples > 0 ? options.samples : source->size();

  const Stopwatch watch;
  data::Loader loader(mixture, encoder, 0, threads, std::clamp<int64_t>(8 * threads, 16, 256));
  int64_t pictures = 0, tokens = 0, faults = 0;
  double first = 0;
  for (int64_t i = 0; i < count; ++i) {
    const data::Loader::Item item = loader.next();
    if (i == 0) first = watch.seconds();
    if (!item.sample) {
      ++faults;
      continue;
    }
    pictures += static_cast<int64_t>(item.sample->pictures.size());
    tokens += item.sample->tokens();
  }
  const double seconds = watch.seconds();
  if (options.json) {
    print_json({{"samples", count},
                {"pictures", pictures},
                {"tokens", tokens},
                {"faults", faults},
                {"threads", threads},
                {"open_seconds", open_seconds},
                {"first_sample_seconds", open_seconds + first},
                {"seconds", seconds},
                {"samples_per_second", static_cast<double>(count) / seconds},
                {"pictures_per_second", static_cast<double>(pictures) / seconds},
                {"tokens_per_second", static_cast<double>(tokens) / seconds}});
    return 0;
  }
  report::Table table({"prepared", "count", "a second"});
  for (const auto& [what, number] : {std::pair{"samples", count}, {"pictures", pictures}, {"tokens", tokens}}) {
    table.add_row({what, std::to_string(number), fmt::format("{:.1f}", static_cast<double>(number) / seconds)});
  }
  std::fputs(table.text().c_str(), stdout);
  std::printf("%s\n", fmt::format("{} threads, {:.2f} s; opening {:.2f} s, first sample after {:.2f} s; {} broken samples",
                                  threads, seconds, open_seconds, open_seconds + first, faults)
                          .c_str());
  return 0;
}

}  // namespace

void add_data_bench(CLI::App& data, Action& action) {
  auto options = std::make_shared<LoaderBench>();
  CLI::App* verb = data.add_subcommand("bench", "how fast a data set is read, decoded, cut and tokenized for a model");
  options->source.add_to(*verb);
  verb->add_option("--model", options->model, "model folder or org/name whose preprocessing is used")->required();
  verb->add_option("--samples", options->samples, "so many samples; 0: each once")->check(CLI::NonNegativeNumber);
  verb->add_option("--max-length", options->max_length, "most tokens of a sample")->check(CLI::PositiveNumber);
  verb->add_flag("--json", options->json, "one line of JSON");
  options->run.add_to(*verb, "fp32");
  verb->callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace ocelli::cli
