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
  model::ModelInputs inputs = loaded.processor->make_inputs(options.prompt.ids(loaded, pictures), pictures);
  OutputTensors out;
  out.add("input_ids", inputs.input_ids);
  nn::RunContext context;
  at::Tensor visual;
  if (inputs.pixel_values.defined()) {
    out.add("pixel_values", inputs.pixel_values);
    visual = loaded.model->visual_tokens(inputs.pixel_values.to(options.run.dtype()), inputs.pictures, context).tokens;
    out.add("visual_tokens", visual);
  }
  language::DecoderInputs decoder;
  decoder.embeds = loaded.model->embed(inputs.input_ids, inputs.visual_rows, visual);
  decoder.positions = inputs.positions;
  decoder.layout = inputs.layout;
  out.add("logits", loaded.model->head(loaded.model->decoder().forward(decoder, context)));
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
