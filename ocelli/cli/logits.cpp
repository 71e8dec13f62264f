#include <ATen/ATen.h>

#include "ocelli/base/error.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/output_tensors.h"
#include "ocelli/cli/prompt_options.h"
#include "ocelli/cli/verbs.h"

namespace ocelli::cli {
namespace {

struct LogitsOptions {
  std::string model, out;
  PromptOptions prompt;
  RunOptions run;
};

int logits(const LogitsOptions& options) {
  if (!options.prompt.given()) throw UsageError("logits: give a prompt with -p, --prompt-file or --input-ids");
  const LoadedModel loaded = open_model(options.model, options.run);
  const at::InferenceMode inference;
  const auto pictures = read_pictures(*loaded.processor, options.prompt.images);
  const std::vector<int64_t> ids = options.prompt.ids(loaded, pictures);
  model::ModelInputs inputs = loaded.processor->make_inputs(ids, pictures, loaded.model->token_grids(pictures));
  OutputTensors out;
  out.add("input_ids", inputs.input_ids);
  nn::RunContext context;
  model::Seen seen;
  if (!inputs.pixels.empty()) {
    add_pixels(out, inputs.pixels);
    seen = loaded.model->see(inputs.pixels.to(options.run.dtype()), inputs.pictures, context);
    out.add("visual_tokens", seen.tokens);
    if (seen.memory.defined()) inputs.memory_layout.add({0, inputs.input_ids.numel(), 0, seen.memory.size(0), false, 0});
  }
  out.add("logits", loaded.model->head(loaded.model->decoder().forward(loaded.model->decoder_inputs(inputs, seen), context)));
  out.write(options.out);
  return 0;
}

}  // namespace

void add_logits(CLI::App& app, Action& action) {
  auto options = std::make_shared<LogitsOptions>();
  CLI::App* verb = app.add_subcommand("logits", "write input ids, pixels, visual tokens and logits of a prompt");
  verb->add_option("model", options->model, "model folder or org/name")->required();
  options->prompt.add_to(*verb, true);
  verb->add_option("--out", options->out, "safetensors file to write")->required();
  options->run.add_to(*verb, "fp32");
  verb->callback([options, &action] { action = [options] { return logits(*options); }; });
}

}  // namespace ocelli::cli
