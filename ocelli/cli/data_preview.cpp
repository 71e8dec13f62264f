#include <algorithm>
#include <cstdio>

#include "ocelli/base/error.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/data_sources.h"
#include "ocelli/data/preview_page.h"
#include "ocelli/model/load.h"
#include "ocelli/report/progress.h"

namespace ocelli::cli {
namespace {

struct PreviewVerb {
  SourceOptions source;
  std::string model, out;
  int64_t samples = 20, max_length = 2048;
};

int preview(const PreviewVerb& options) {
  const Sources sources = open_sources(options.source);
  const auto folder = model::resolve_model(options.model);
  const model::ModelConfig config = model::ModelConfig::load(folder);
  const auto model = std::make_shared<model::Model>(config);  // counts tokens by its configuration; no weight is read
  const auto processor = model::Processor::load(folder, config);
  data::PreviewPage page(
      fmt::format("{} as {} gets it", options.source.data.path.filename().string(), folder.filename().string()), processor,
      [&](const image::Tiling& tiling) { return model->num_tokens(tiling); }, options.max_length);

  // Every source shows as many samples, spread over its length.
  const auto each = std::max<int64_t>(1, options.samples / static_cast<int64_t>(sources.all.size()));
  report::Progress progress("drawing", std::min(sources.samples(), each * static_cast<int64_t>(sources.all.size())),
                            {.unit = "samples"});
  int64_t done = 0;
  for (const auto& source : sources.all) {
    const int64_t size = source->size(), shown = std::min(each, size);
    for (int64_t i = 0; i < shown; ++i) {
      if (interrupted().load()) throw Error("interrupted; no page was written");
      page.add(*source, i * size / shown);
      progress.update(++done);
    }
  }
  page.save(options.out);
  progress.finish();
  std::printf("%s\n", fmt::format("{}: {} samples, {} of them broken", options.out, done, page.faults()).c_str());
  return 0;
}

}  // namespace

void add_data_preview(CLI::App& data, Action& action) {
  auto options = std::make_shared<PreviewVerb>();
  CLI::App* verb = data.add_subcommand("preview", "a page that shows what a model gets: tiles, boxes, trained tokens, ids");
  options->source.add_to(*verb);
  verb->add_option("--model", options->model, "model folder or org/name; no weight is read")->required();
  verb->add_option("--out", options->out, "the HTML page to write")->required()->type_name("FILE");
  verb->add_option("-n", options->samples, "samples to show, spread over the data")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  verb->add_option("--max-length", options->max_length, "as in the recipe: longer samples are cut")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  set_watched_action(*verb, action, [options] { return preview(*options); });
}

}  // namespace ocelli::cli
