#include <cstdio>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/data_sources.h"
#include "ocelli/cli/data_target.h"
#include "ocelli/data/perceptual_hash.h"
#include "ocelli/data/sample_filter.h"
#include "ocelli/report/format.h"
#include "ocelli/report/progress.h"
#include "ocelli/report/table.h"

namespace ocelli::cli {
namespace {

struct FilterVerb {
  SourceOptions source;
  TargetOptions target;
  std::string dropped;
  data::FilterOptions how;
  int threads = 0;
  bool json = false;
};

int filter(FilterVerb options) {
  const Stopwatch watch;
  const data::Format& format = options.target.format(options.source.data.path);
  const auto source = options.source.open();
  const std::filesystem::path& target = options.target.writer.path;
  const std::filesystem::path listed = options.dropped.empty() ? target.string() + ".dropped.jsonl" : options.dropped;
  options.how.threads = worker_threads(options.threads);

  const auto writer = options.target.open(format);
  AtomicFile list(listed);
  report::Progress progress("filtering", source->size(), {.unit = "samples"});
  int64_t done = 0, dropped = 0;
  const data::FilterResult result = data::filter_dataset(
      *source, options.how, [&](const data::Sample& sample) { writer->write(sample); },
      [&](const data::Dropped& one) {
        ++dropped;
        list.write(one.to_json().dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
      },
      [&] {
        if (interrupted().load()) throw Error("interrupted; nothing was written");
        progress.update(++done, dropped == 0 ? "" : fmt::format("{} dropped", dropped));
      });
  progress.finish();
  list.commit();
  require(result.kept > 0, "{}: no sample is left; why each was dropped stands in {}", source->name(), listed.string());
  writer->finish();

  if (options.json) {
    print_json({{"kept", result.kept},
                {"dropped", result.dropped_in_all()},
                {"reasons", result.dropped},
                {"lost", writer->lost()},
                {"format", format.name},
                {"dropped_list", listed.string()},
                {"filter_seconds", watch.seconds()}});
    return 0;
  }
  report::Table table({"", "samples", "share"});
  const auto row = [&](const std::string& what, int64_t count) {
    return std::vector<std::string>{what, report::grouped(count),
                                    report::percent(static_cast<double>(count) / static_cast<double>(source->size()))};
  };
  table.add_row(row("kept", result.kept));
  for (const auto& [reason, count] : result.dropped) table.add_row(row("dropped: " + reason, count));
  table.add_total(row("all", source->size()));
  std::printf("%s%s\n", table.text().c_str(),
              fmt::format("{} as {}; the dropped ones are listed in {}", target.string(), format.name, listed.string()).c_str());
  for (const auto& [what, count] : writer->lost()) {
    std::printf("%s\n", fmt::format("{} has no place for {}: left out of {} samples", format.name, what, count).c_str());
  }
  return 0;
}

}  // namespace

void add_data_filter(CLI::App& data, Action& action) {
  auto options = std::make_shared<FilterVerb>();
  data::FilterOptions& how = options->how;
  CLI::App* verb = data.add_subcommand("filter", "write the samples that fit as a new data set; the source stays as it is");
  options->source.add_to(*verb);
  options->target.add_to(*verb);
  verb->add_option("--min-side", how.min_side, "least pixels of every picture's shorter side")->check(CLI::NonNegativeNumber);
  verb->add_option("--max-aspect", how.max_aspect, "most times a picture may be longer than wide, or wider than long")
      ->check(CLI::Range(1.0, 1e9));
  verb->add_option("--min-words", how.min_words, "least words of all turns together")->check(CLI::NonNegativeNumber);
  verb->add_option("--max-words", how.max_words, "most words of all turns together")->check(CLI::PositiveNumber);
  verb->add_flag("--exact-duplicates", how.exact_duplicates,
                 "drop samples whose questions, answers and pictures (by bytes) are those of one before");
  verb->add_option("--near-duplicates", how.near_duplicates,
                   "drop samples with a picture that equals or looks like one before: bits of 64 that may differ (3 is careful)")
      ->check(CLI::Range(0, data::HashIndex::kMaxDistance));
  verb->add_option("--dropped", options->dropped, "JSON lines of the dropped samples (default: TARGET.dropped.jsonl)")
      ->type_name("FILE");
  add_worker_threads(*verb, options->threads);
  verb->add_flag("--json", options->json, "one line of JSON");
  set_watched_action(*verb, action, [options] { return filter(*options); });
}

}  // namespace ocelli::cli
