#include "ocelli/train/stage_data.h"

#include "ocelli/base/error.h"
#include "ocelli/data/concat_dataset.h"
#include "ocelli/data/question_filter.h"

namespace ocelli::train {

Sources open_sources(const Recipe& recipe) {
  Sources out;
  for (const DataRecipe& source : recipe.data) {
    std::shared_ptr<const data::Dataset> dataset = data::open_dataset(source.options);
    if (!source.further.empty()) {
      std::vector<std::shared_ptr<const data::Dataset>> parts = {std::move(dataset)};
      for (const std::filesystem::path& path : source.further) {
        data::DatasetOptions options = source.options;
        options.path = path;
        parts.push_back(data::open_dataset(options));
      }
      dataset = std::make_shared<data::ConcatDataset>(source.options.name, std::move(parts));
    }
    if (!source.question_types.empty())
      dataset = std::make_shared<data::QuestionFilter>(std::move(dataset), source.question_types);
    out[source.options.name] = std::move(dataset);
  }
  return out;
}

std::vector<data::Mixture::Source> mixture_sources(const StageRecipe& stage, const Sources& sources) {
  std::vector<data::Portion> portions;
  std::vector<int64_t> sizes;
  std::vector<data::Mixture::Source> out;
  for (const auto& [name, portion] : stage.data) {
    out.push_back({sources.at(name), 1.0});
    portions.push_back(portion);
    sizes.push_back(out.back().data->size());
  }
  try {
    const std::vector<double> passes = data::passes_of(portions, sizes, stage.data_temperature, stage.epoch_samples);
    for (size_t i = 0; i < out.size(); ++i) out[i].weight = passes[i];
  } catch (const Error& error) {
    fail("stage {}: {}", stage.name, error.what());
  }
  return out;
}

}  // namespace ocelli::train
