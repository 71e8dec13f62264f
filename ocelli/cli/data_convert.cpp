#include <cstdio>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/log.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/data_target.h"
#include "ocelli/cli/data_verbs.h"
#include "ocelli/report/progress.h"
#include "ocelli/report/table.h"

namespace ocelli::cli {
namespace {

struct ConvertOptions {
  SourceOptions source;
  TargetOptions target;
  double max_fault_share = 0.01;
  bool json = false;
};

/// JSON lines of the samples that were left out, beside the target.
std::filesystem::path faults_path(const std::filesystem::path& target) {
  return target.string() + ".faults.jsonl";
}

int convert(ConvertOptions options) {
  const Stopwatch watch;
  const data::Format& format = options.target.format(options.source.data.path);
  const auto source = options.source.open();
  const std::filesystem::path& target = options.target.writer.path;
  const auto writer = options.target.open(format);

  report::Progress progress("converting", source->size(), {.unit = "samples"});
  int64_t written = 0, faults = 0;
  std::string fault_lines, last_fault;
  for (int64_t i = 0; i < source->size(); ++i) {
    if (interrupted().load()) throw Error("interrupted; nothing was written");
    try {
      writer->write(source->get(i));
      ++written;
    } catch (const Error& error) {
      ++faults;
      last_fault = fmt::format("sample {}: {}", i, error.what());
      fault_lines += Json{{"index", i}, {"fault", error.what()}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    }
    progress.update(i + 1);
  }
  const std::filesystem::path listed = faults_path(target);
  std::error_code ignored;
  std::filesystem::remove(listed, ignored);  // the list of an earlier conversion is no longer true
  if (faults > 0) write_file_atomic(listed, fault_lines);
  progress.finish();
  require(
      static_cast<double>(faults) <= options.max_fault_share * static_cast<double>(source->size()),
      "{} of {} samples can't be converted (--max-fault-share is {}), so nothing was written; they are listed in {}. The last "
      "one: {}",
      faults, source->size(), options.max_fault_share, listed.string(), last_fault);
  writer->finish();
  if (faults > 0) log::warning("{} of {} samples were left out; they are listed in {}", faults, source->size(), listed.string());

  if (options.json) {
    print_json({{"samples", written},
                {"faults", faults},
                {"lost", writer->lost()},
                {"format", format.name},
                {"convert_seconds", watch.seconds()}});
    return 0;
  }
  std::printf("%s\n", fmt::format("{}: {} samples as {}", target.string(), written, format.name).c_str());
  if (!writer->lost().empty()) {
    report::Table table({"not carried by this format", "samples"});
    for (const auto& [what, samples] : writer->lost()) table.add_row({what, std::to_string(samples)});
    std::fputs(table.text().c_str(), stdout);
  }
  return 0;
}

}  // namespace

void add_data_convert(CLI::App& data, Action& action) {
  auto options = std::make_shared<ConvertOptions>();
  CLI::App* verb = data.add_subcommand("convert", "write a data set in another format; what it can't carry is named");
  options->source.add_to(*verb, "--from");
  options->target.add_to(*verb);
  verb->add_option("--max-fault-share", options->max_fault_share, "more broken samples than this share, and nothing is written")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb->add_flag("--json", options->json, "one line of JSON");
  set_watched_action(*verb, action, [options] { return convert(*options); });
}

}  // namespace ocelli::cli
