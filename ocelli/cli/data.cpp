#include "ocelli/cli/common.h"
#include "ocelli/cli/data_verbs.h"
#include "ocelli/cli/verbs.h"

namespace ocelli::cli {

void SourceOptions::add_to(CLI::App& verb, const std::string& format_flag) {
  std::string known;
  for (const data::Format& format : data::formats()) known += (known.empty() ? "" : ", ") + std::string(format.name);
  verb.add_option("source", data.path, "the data set: a file or a folder")->required();
  verb.add_option(format_flag, data.format, "its format (default: told by the path): " + known);
  verb.add_option("--images", data.images, "folder its pictures' paths start from (default: the file's)");
  verb.add_option("--annotations", data.annotations, "second file of formats that have two")->type_name("FILE");
  verb.add_option("--split", data.split, "of formats whose file holds several");
  verb.add_option("--prompts", data.prompts, "wordings that make annotations questions, as prompts/llava-1.5.json")
      ->type_name("FILE");
}

std::shared_ptr<const data::Dataset> SourceOptions::open() {
  if (data.name.empty()) data.name = data.path.stem().string();
  return data::open_dataset(data);
}

void add_worker_threads(CLI::App& verb, int& threads) {
  verb.add_option("-t,--threads", threads, "threads (default: the cores there are)")->check(CLI::Range(0, 1024));
}

void set_watched_action(CLI::App& verb, Action& action, Action run) {
  verb.callback([&action, run = std::move(run)] {
    action = [run] {
      watch_interrupts();
      return run();
    };
  });
}

void add_data(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("data", "convert, check, count, look at and filter data sets");
  verb->require_subcommand(1);
  for (const auto add : {add_data_convert, add_data_bench, add_data_check, add_data_stats, add_data_preview, add_data_filter}) {
    add(*verb, action);
  }
}

}  // namespace ocelli::cli
