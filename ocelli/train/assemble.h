#pragma once

#include <memory>
#include <vector>

#include "ocelli/data/dataset.h"
#include "ocelli/model/model.h"
#include "ocelli/model/processor.h"
#include "ocelli/train/recipe.h"

namespace ocelli::train {

/// A model ready to train, with what prepares its inputs.
struct Assembled {
  std::shared_ptr<model::Model> model;  ///< fp32, every parameter in storage of its own
  std::shared_ptr<const model::Processor> processor;
};

/// Builds what `[model]` and `[tokenizer]` describe: a whole model, or parts each loaded or new (seeded by the recipe), and a
/// tokenizer that is loaded or trained on `sources`. A loaded decoder whose tokenizer has no `<image>` gets one, and one more
/// embedding row (the mean of the others). Throws UsageError or Error naming the key that doesn't fit.
Assembled assemble(const Recipe& recipe, const std::vector<std::shared_ptr<const data::Dataset>>& sources);

/// The chat template of new models: `<|bos|>`, then each message as `<|role|>text<|end|>`.
extern const char* const kDefaultChatTemplate;

}  // namespace ocelli::train
