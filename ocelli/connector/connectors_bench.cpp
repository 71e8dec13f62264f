// Every connector between a tower of width 1024 and a decoder of width 4096: one line of JSON each, with visual tokens and FLOPs
// by side of the picture (patch 14), parameters, and the median time of one forward pass over a grid of 24 x 24 in fp32.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "ocelli/base/error.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/connector/connector.h"

namespace ocelli::connector {
namespace {

constexpr int64_t kInput = 1024, kOutput = 4096, kPatch = 14;
constexpr int64_t kSides[] = {224, 336, 448, 672, 1344};
constexpr image::Grid kTimed{24, 24};

struct Row {
  const char* name;
  Json config;
  int64_t aux_width = 0;  ///< of a second tower's map …
  int64_t aux_scale = 1;  ///< … and how many of its cells lie along one patch
};

double milliseconds(Connector& connector, const Row& row, const ConnectorConfig& config, int repeats) {
  const at::InferenceMode inference;
  nn::RunContext run;
  const int64_t width = config.type == ConnectorConfig::Type::kTokenPacker ? kInput * config.packer.num_levels : kInput;
  const nn::VisualFeatures features{at::randn({1, kTimed.count(), width}), kTimed};
  const image::Grid fine{kTimed.rows * row.aux_scale, kTimed.columns * row.aux_scale};
  nn::VisualFeatures aux;
  if (row.aux_width > 0) aux = {at::randn({1, fine.count(), row.aux_width}), fine};
  const ConnectorContext context{.run = run, .aux = row.aux_width > 0 ? &aux : nullptr};
  std::vector<double> times;
  for (int i = 0; i <= repeats; ++i) {
    const Stopwatch watch;
    connector.forward(features, context);
    if (i > 0) times.push_back(watch.milliseconds());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

int run(int repeats) {
  const Row rows[] = {
      {"linear", {{"type", "linear"}}},
      {"mlp", {{"type", "mlp"}}},
      {"normed_mlp", {{"type", "normed_mlp"}}},
      {"pixel_shuffle", {{"type", "pixel_shuffle"}, {"scale", 2}}},
      {"concat_neighbours", {{"type", "concat_neighbours"}, {"neighbours", 4}}},
      {"average_pool", {{"type", "average_pool"}, {"pooled_rows", 12}, {"pooled_columns", 12}}},
      {"ldp", {{"type", "ldp"}}},
      {"ldp_v2", {{"type", "ldp_v2"}}},
      {"token_packer", {{"type", "token_packer"}, {"num_levels", 1}}},
      {"resampler", {{"type", "resampler"}, {"num_queries", 64}}},
      {"qformer", {{"type", "qformer"}}},
      {"glu", {{"type", "glu"}, {"hidden_width", 11008}}},
      {"hybrid", {{"type", "hybrid"}}, 1024, 1},
      {"patch_mining", {{"type", "patch_mining"}}, 2880, 8},
  };
  for (const Row& row : rows) {
    const ConnectorConfig config = ConnectorConfig::from_json(JsonView(row.config, row.name), kInput, kOutput, row.aux_width);
    const auto connector = make_connector(config);
    nn::initialize(*connector, 1);
    Json line = {{"name", row.name}, {"parameters", nn::count_parameters(*connector)}, {"threads", at::get_num_threads()}};
    for (const int64_t side : kSides) {
      const image::Grid grid{side / kPatch, side / kPatch};
      const std::string key = std::to_string(side);
      line["tokens"][key] = connector->num_tokens(grid);
      line["flops"][key] = connector->cost(grid, 1, {}).flops;
    }
    line["milliseconds"] = milliseconds(*connector, row, config, repeats);
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace ocelli::connector

int main(int argc, char** argv) {
  try {
    return ocelli::connector::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 5);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "connectors_bench: %s\n", error.what());
    return 1;
  }
}
