#include "ocelli/cli/data_sources.h"

#include "ocelli/base/cpu.h"
#include "ocelli/base/error.h"
#include "ocelli/model/load.h"
#include "ocelli/train/stage_data.h"

namespace ocelli::cli {

int64_t Sources::samples() const {
  int64_t sum = 0;
  for (const auto& source : all) sum += source->size();
  return sum;
}

Sources open_sources(SourceOptions options) {
  Sources out;
  if (options.data.path.extension() != ".toml") {
    out.all.push_back(options.open());
    return out;
  }
  const data::DatasetOptions& given = options.data;
  if (!given.format.empty() || !given.images.empty() || !given.annotations.empty() || !given.split.empty() ||
      !given.prompts.empty()) {
    throw UsageError(
        fmt::format("{}: a recipe says how its data are read; leave out --format, --images, --annotations, --split "
                    "and --prompts",
                    given.path.string()));
  }
  out.recipe = train::Recipe::load(given.path);
  if (out.recipe->data.empty()) throw UsageError(fmt::format("{}: the recipe has no [[data]]", given.path.string()));
  for (const auto& [name, source] : train::open_sources(*out.recipe)) out.all.push_back(source);
  return out;
}

std::shared_ptr<const text::Tokenizer> open_tokenizer(const std::string& path_or_name) {
  if (path_or_name.empty()) return nullptr;
  const auto folder = model::resolve_model(path_or_name);
  auto tokenizer = model::Processor::load_text(folder).tokenizer;
  require(tokenizer != nullptr, "{}: there is no tokenizer in this folder", folder.string());
  return tokenizer;
}

int worker_threads(int asked) {
  return asked > 0 ? asked : cpu_info().logical_cores;
}

}  // namespace ocelli::cli
