#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::text {

/// What stands around a text's ids when special tokens are asked for.
struct Surroundings {
  std::vector<int64_t> before, after;
};

/// `post_processor` of a `tokenizer.json`, for one text: ByteLevel (which moves offsets only), TemplateProcessing,
/// RobertaProcessing, BertProcessing, Sequence. Throws Error naming another type, or an id outside [0, vocab_size).
Surroundings read_post_processor(const JsonView& config, int64_t vocab_size);

}  // namespace ocelli::text
