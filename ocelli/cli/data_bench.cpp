#include <algorithm>
#include <cstdio>
#include <future>
#include <vector>

#include "ocelli/base/cpu.h"
#include "ocelli/base/error.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/base/thread_pool.h"
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
  int64_t samples = 0, warm_up = 0, max_length = 1 << 20;
  bool decode_only = false, json = false;
  RunOptions run;
};

/// The pictures of `count` samples from number `first` on, decoded and dropped; samples go round.
int64_t decode_samples(ThreadPool& pool, const data::Dataset& source, int64_t first, int64_t count) {
  std::vector<std::future<int64_t>> decoded;
  for (int64_t i = first; i < first + count; ++i) {
    decoded.push_back(pool.submit([&source, i] {
      const data::Sample sample = source.get(i % source.size());
      for (const data::Picture& picture : sample.pictures) picture.load(image::DecodeOptions::pillow());
      return static_cast<int64_t>(sample.pictures.size());
    }));
  }
  // All of them are waited for before an error leaves: they refer to `source`.
  for (const auto& one : decoded) one.wait();
  int64_t pictures = 0;
  for (auto& one : decoded) pictures += one.get();
  return pictures;
}

/// What the loader is measured against: its own decoder, with nothing behind it.
int decode_alone(const LoaderBench& options, const data::Dataset& source, int threads, int64_t count) {
  ThreadPool pool(threads);
  decode_samples(pool, source, 0, options.warm_up);
  const Stopwatch watch;
  const int64_t pictures = decode_samples(pool, source, options.warm_up, count);
  const double seconds = watch.seconds(), rate = static_cast<double>(pictures) / seconds;
  if (options.json) {
    print_json(
        {{"samples", count}, {"pictures", pictures}, {"threads", threads}, {"seconds", seconds}, {"pictures_per_second", rate}});
  } else {
    std::printf("%s\n", fmt::format("{} pictures decoded, {:.1f} a second; {} threads", pictures, rate, threads).c_str());
  }
  return 0;
}

int bench(LoaderBench options) {
  const Stopwatch opening;
  const auto source = options.source.open();
  require(source->size() > 0, "{}: there is no sample in it", source->name());
  const double open_seconds = opening.seconds();
  const int threads = options.run.threads > 0 ? options.run.threads : std::max(1, cpu_info().logical_cores);
  const int64_t count = options.samples > 0 ? options.samples : source->size();
  if (options.decode_only) return decode_alone(options, *source, threads, count);
  const LoadedModel loaded = open_model(options.model, options.run);
  const data::Mixture mixture({{source, 1.0}}, 1);
  const data::SampleEncoder encoder(
      loaded.processor, [&](const image::Tiling& tiling) { return loaded.model->num_tokens(tiling); }, options.max_length);

  const Stopwatch starting;
  data::Loader loader(mixture, encoder, 0, threads, std::clamp<int64_t>(8 * threads, 16, 256));
  double first = 0;
  for (int64_t i = 0; i < options.warm_up; ++i) {
    loader.next();
    if (i == 0) first = starting.seconds();
  }
  const Stopwatch watch;
  int64_t pictures = 0, tokens = 0, faults = 0;
  for (int64_t i = 0; i < count; ++i) {
    const data::Loader::Item item = loader.next();
    if (i == 0 && options.warm_up == 0) first = starting.seconds();
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
  CLI::Option* model = verb->add_option("--model", options->model, "model folder or org/name whose preprocessing is used");
  CLI::Option* alone = verb->add_flag("--decode-only", options->decode_only, "pictures are decoded and that is all; no model");
  alone->excludes(model);
  verb->add_option("--samples", options->samples, "so many samples; 0: each once")->check(CLI::NonNegativeNumber);
  verb->add_option("--warm-up", options->warm_up, "samples prepared before the clock starts")->check(CLI::NonNegativeNumber);
  verb->add_option("--max-length", options->max_length, "most tokens of a sample")->check(CLI::PositiveNumber);
  verb->add_flag("--json", options->json, "one line of JSON");
  options->run.add_to(*verb, "fp32");
  verb->callback([options, &action] {
    if (options->model.empty() && !options->decode_only) throw CLI::RequiredError("--model (or --decode-only)");
    action = [options] { return bench(*options); };
  });
}

}  // namespace ocelli::cli
