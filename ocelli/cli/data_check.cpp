#include <cstdio>
#include <optional>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/data_sources.h"
#include "ocelli/data/perceptual_hash.h"
#include "ocelli/data/quality_check.h"
#include "ocelli/report/format.h"
#include "ocelli/report/progress.h"
#include "ocelli/report/table.h"

namespace ocelli::cli {
namespace {

using data::CheckReport;
using data::Severity;

struct CheckVerb {
  SourceOptions source;
  std::vector<std::string> against;
  std::string against_images, model, out;
  data::CheckOptions how;
  int threads = 0;
  bool json = false;
};

std::string share(int64_t count, int64_t total) {
  return total == 0 ? "-" : report::percent(static_cast<double>(count) / static_cast<double>(total));
}

void print_findings(const CheckReport& result) {
  report::Table table({"severity", "kind", "found", "what"});
  for (const data::FindingInfo& info : data::finding_infos()) {
    if (const int64_t count = result.of(info.kind); count > 0) {
      table.add_row({info.severity == Severity::kError ? "error" : "warning", std::string(info.name), report::grouped(count),
                     std::string(info.about)});
    }
  }
  if (!table.rows().empty()) std::printf("%s\n", table.text().c_str());
  for (const auto& [kind, findings] : result.examples) {
    const int64_t count = result.of(kind);
    std::printf("%s (%s):\n", std::string(data::info_of(kind).name).c_str(),
                count > static_cast<int64_t>(findings.size())
                    ? fmt::format("the first {} of {}", findings.size(), report::grouped(count)).c_str()
                    : report::grouped(count).c_str());
    for (const data::Finding& finding : findings) {
      // A record that can't be read says itself where it is.
      const std::string where =
          finding.id.empty() ? "" : fmt::format("{}, sample {} ({}): ", finding.source, finding.index, finding.id);
      std::printf("  %s\n", report::cut_to_width(where + finding.text, 300).c_str());
    }
    std::printf("\n");
  }
}

void print_histogram(const char* what, const data::Distribution& values, std::span<const int64_t> edges) {
  if (values.count() == 0) return;
  report::Table table({what, "count", "share"});
  for (const auto& bucket : values.buckets(edges)) {
    table.add_row({bucket.label, report::grouped(bucket.count), share(bucket.count, values.count())});
  }
  table.set_align(0, report::Align::kRight);
  std::printf("%smean %.1f, median %ld, 95 %% up to %ld, largest %ld\n\n", table.text().c_str(), values.mean(),
              static_cast<long>(values.quantile(0.5)), static_cast<long>(values.quantile(0.95)),
              static_cast<long>(values.quantile(1)));
}

void print_overlaps(const CheckReport& result) {
  if (result.overlaps.empty()) return;
  report::Table table({"samples that share with", "its picture", "nearly its picture", "picture and question", "question"});
  for (const CheckReport::Overlap& overlap : result.overlaps) {
    const auto cell = [&](int64_t count) { return fmt::format("{} ({})", report::grouped(count), share(count, result.samples)); };
    table.add_row(
        {overlap.name, cell(overlap.pictures), cell(overlap.near_pictures), cell(overlap.pairs), cell(overlap.questions)});
  }
  std::printf("%s\n", table.text().c_str());
}

void print_summary(const CheckReport& result) {
  report::Table table({"counted", "number", "share"});
  const auto row = [&](const char* what, int64_t count, int64_t total) {
    table.add_row({what, report::grouped(count), total > 0 ? share(count, total) : ""});
  };
  row("samples", result.samples, 0);
  row("samples that can be read", result.readable, result.samples);
  row("turns", result.turns, 0);
  row("pictures", result.pictures, 0);
  row("different pictures", result.distinct_pictures, 0);
  row("samples in Latin script", result.latin_samples, result.readable);
  row("samples in Han script", result.han_samples, result.readable);
  row("samples in another script", result.other_samples, result.readable);
  row("samples without letters", result.letterless_samples, result.readable);
  row("samples about text in pictures (OCR)", result.reading_samples, result.readable);
  const int64_t choices = result.yes + result.no;
  row("answers \"yes\"", result.yes, choices);
  row("answers \"no\"", result.no, choices);
  int64_t letters = 0;
  for (const int64_t count : result.letter_answers) letters += count;
  for (size_t i = 0; i < result.letter_answers.size(); ++i) {
    if (result.letter_answers[i] > 0) {
      row(fmt::format("answers \"{}\"", static_cast<char>('A' + i)).c_str(), result.letter_answers[i], letters);
    }
  }
  std::printf("%s\n", table.text().c_str());
}

int check(CheckVerb& options) {
  const Stopwatch watch;
  const Sources sources = open_sources(options.source);
  int64_t total = sources.samples();
  for (const std::string& path : options.against) {
    data::DatasetOptions other;
    other.path = path;
    other.name = other.path.stem().string();
    other.images = options.against_images;
    options.how.against.push_back(data::open_dataset(other));
    total += options.how.against.back()->size();
  }
  options.how.sample.tokenizer = open_tokenizer(options.model);
  options.how.threads = worker_threads(options.threads);
  std::optional<AtomicFile> out;
  if (!options.out.empty()) out.emplace(options.out);
  int64_t found = 0;
  options.how.on_finding = [&](const data::Finding& finding) {
    ++found;
    if (out) out->write(finding.to_json().dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
  };
  report::Progress progress("checking", total, {.unit = "samples"});
  options.how.on_progress = [&](int64_t done) {
    if (interrupted().load()) throw Error("interrupted; the check is not complete");
    progress.update(done, found == 0 ? "" : fmt::format("{} findings", found));
  };
  const CheckReport result = data::check_datasets(sources.all, options.how);
  progress.finish();
  if (out) out->commit();

  if (options.json) {
    OrderedJson line = result.to_json();
    line["check_seconds"] = watch.seconds();
    print_json(line);
  } else {
    print_findings(result);
    print_overlaps(result);
    print_summary(result);
    print_histogram("words in a sample", result.words, data::length_edges());
    print_histogram("text tokens in a sample", result.tokens, data::length_edges());
    print_histogram("longer side, pixels", result.longer_side, data::side_edges());
    print_histogram("width / height, %", result.aspect_percent, data::aspect_edges());
    std::printf("%s errors, %s warnings in %s samples\n", report::grouped(result.findings(Severity::kError)).c_str(),
                report::grouped(result.findings(Severity::kWarning)).c_str(), report::grouped(result.samples).c_str());
  }
  return result.findings(Severity::kError) > 0 ? 1 : 0;
}

}  // namespace

void add_data_check(CLI::App& data, Action& action) {
  auto options = std::make_shared<CheckVerb>();
  CLI::App* verb = data.add_subcommand(
      "check",
      "look at every sample: broken records and pictures, duplicates, what train and test share, balance; exit code 1 "
      "when there are errors");
  options->source.add_to(*verb);
  add_repeatable(*verb, "--against", options->against, "a data set that must share no picture or question with it (repeatable)")
      ->type_name("TEST");
  verb->add_option("--against-images", options->against_images, "folder the pictures of --against start from");
  verb->add_option("--model", options->model, "a model whose tokenizer counts tokens and says which are special");
  verb->add_option("--near", options->how.near_distance,
                   "bits of 64 in which the perceptual hashes of near duplicates may differ; -1: none are looked for")
      ->check(CLI::Range(-1, data::HashIndex::kMaxDistance))
      ->capture_default_str();
  verb->add_option("--min-side", options->how.sample.min_side, "shorter pictures are tiny, in pixels")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--max-aspect", options->how.sample.max_aspect, "longer side over the shorter, from which it is extreme")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
  verb->add_option("--out", options->out, "JSON lines of all findings (the terminal shows the first 20 of each kind)")
      ->type_name("FILE");
  add_worker_threads(*verb, options->threads);
  verb->add_flag("--json", options->json, "one line of JSON");
  set_watched_action(*verb, action, [options] { return check(*options); });
}

}  // namespace ocelli::cli
