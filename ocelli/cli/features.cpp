#include <ATen/ATen.h>

#include "ocelli/base/error.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/output_tensors.h"
#include "ocelli/cli/verbs.h"

namespace ocelli::cli {
namespace {

struct FeaturesOptions {
  std::string model, out;
  std::vector<std::string> images;
  RunOptions run;
};

int features(const FeaturesOptions& options) {
  const LoadedModel loaded = open_model(options.model, options.run);
  const at::InferenceMode inference;
  const auto pictures = read_pictures(*loaded.processor, options.images);
  std::vector<const model::PixelTiles*> tiles;
  std::vector<image::Tiling> tilings;
  for (const model::PixelTiles& picture : pictures) {
    tiles.push_back(&picture);
    tilings.push_back(picture.tiling);
  }
  const model::Pixels pixels = model::stack_pixels(tiles);
  nn::RunContext context;
  OutputTensors out;
  add_pixels(out, pixels);
  const model::Seen seen = loaded.model->see(pixels.to(options.run.dtype()), tilings, context);
  const std::vector<nn::VisualFeatures>& maps = seen.features;
  for (size_t i = 0; i < maps.size(); ++i) {
    const std::string suffix = maps.size() == 1 ? "" : "_" + std::to_string(i);
    out.add("features" + suffix, maps[i].maps);
    out.add("grid" + suffix, at::tensor({maps[i].grid.rows, maps[i].grid.columns}, at::kLong));
  }
  if (seen.aux.maps.defined()) out.add("features_aux", seen.aux.maps);
  out.add("visual_tokens", seen.tokens);
  out.write(options.out);
  return 0;
}

}  // namespace

void add_features(CLI::App& app, Action& action) {
  auto options = std::make_shared<FeaturesOptions>();
  CLI::App* verb = app.add_subcommand("features", "write a picture's pixels, vision tower features and visual tokens");
  verb->add_option("model", options->model, "model folder or org/name")->required();
  verb->add_option("--image", options->images, "a picture (repeatable)")->required()->take_all()->type_name("FILE");
  verb->add_option("--out", options->out, "safetensors file to write")->required();
  options->run.add_to(*verb, "fp32");
  verb->callback([options, &action] { action = [options] { return features(*options); }; });
}

}  // namespace ocelli::cli
