#include <ATen/ATen.h>

#include "ocelli/base/error.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/output_tensors.h"
#include "ocelli/cli/prompt_options.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/nn/tensor_io.h"

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
  const Prompt prompt = options.prompt.read(loaded, pictures);
  model::ModelInputs inputs = loaded.processor->make_inputs(prompt.ids, pictures, loaded.model->token_grids(pictures));
  inputs.instruction_ids = model::instruction_rows(prompt.instruction_ids, inputs.pixels);
  inputs.boxes = prompt.boxes;
  if (inputs.boxes.defined()) {
    inputs.box_rows = nn::index_tensor(loaded.model->box_rows(prompt.ids));
    require(inputs.box_rows.numel() == inputs.boxes.size(0), "the text has {} places for boxes, {} boxes were given",
            inputs.box_rows.numel(), inputs.boxes.size(0));
  }
  OutputTensors out;
  out.add("input_ids", inputs.input_ids);
  nn::RunContext context;
  model::Seen seen;
  if (!inputs.pixels.empty()) {
    add_pixels(out, inputs.pixels);
    seen = loaded.model->see(inputs.pixels.to(options.run.dtype()), inputs.pictures, context, inputs.instruction_ids);
    out.add("visual_tokens", seen.tokens);
    if (seen.memory.defined()) inputs.memory_layout.add({0, inputs.input_ids.numel(), 0, seen.memory.size(0), false, 0});
  }
  language::DecoderInputs decoder;
  if (loaded.model->encodes()) {
    const int64_t rows = static_cast<int64_t>(prompt.decoder_ids.size());
    decoder.memory = loaded.model->encode(inputs, seen, context);
    decoder.memory_layout.add({0, rows, 0, decoder.memory.size(0), false, 0});
    decoder.embeds = loaded.model->embed(nn::index_tensor(prompt.decoder_ids), {}, {});
    decoder.layout = nn::AttentionLayout::uniform(1, rows, true);
  } else {
    decoder = loaded.model->decoder_inputs(inputs, seen);
  }
  out.add("logits", loaded.model->head(loaded.model->decode(decoder, context)));
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
