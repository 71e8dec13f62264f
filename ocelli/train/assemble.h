#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "ocelli/data/dataset.h"
#include "ocelli/model/model.h"
#include "ocelli/model/processor.h"
#include "ocelli/train/recipe.h"

namespace ocelli::train {

/// What a recipe's model comes to by its configuration.
struct Configured {
  model::ModelConfig config;
  std::optional<model::ImageProcessor> images;  ///< none: text alone
};

/// What `[model]` and `[tokenizer]` describe, from the recipe and the configurations it names: no data is opened, no weight read.
/// A tokenizer still to be trained counts with its `vocab_size`, which it may not reach. Throws UsageError with place and key for
/// what a part doesn't know or can't be.
Configured configure(const Recipe& recipe);

/// A model ready to train, with what prepares its inputs.
struct Assembled {
  std::shared_ptr<model::Model> model;  ///< fp32, every parameter in storage of its own
  std::shared_ptr<const model::Processor> processor;
};

/// Builds what `[model]` and `[tokenizer]` describe: a whole model, or parts each loaded or new (seeded by the recipe), and a
/// tokenizer that is loaded or trained on `sources`. A loaded tokenizer without `<image>` gets one, and one without a chat
/// template the tokens of ocelli's own; each is one more embedding row (the mean of the others). Answers end where the base's
/// did, or at the template's end. Throws UsageError or Error naming the key that doesn't fit.
Assembled assemble(const Recipe& recipe, const std::vector<std::shared_ptr<const data::Dataset>>& sources);

/// The chat template of new models: `<|bos|>`, then each message as `<|role|>text<|end|>`.
extern const char* const kDefaultChatTemplate;

}  // namespace ocelli::train
