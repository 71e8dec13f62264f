#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ocelli/infer/sampler.h"
#include "ocelli/model/model.h"
#include "ocelli/model/processor.h"
#include "ocelli/nn/kv_cache.h"

namespace ocelli::infer {

struct EngineOptions {
  int64_t context = 4096;   ///< -c; rows of cache in all
  int64_t block_size = 16;  ///< rows of one cache block
};

/// Milliseconds.
struct Timings {
  double encode = 0;   ///< vision tower and connector
  double prefill = 0;  ///< prompt through the decoder
  double decode = 0;   ///< tokens after the first
};

/// One answer.
struct Generation {
  std::vector<int64_t> ids;   ///< without the end token
  bool stopped = false;       ///< by an end token, not by max_tokens
  int64_t prompt_tokens = 0;  ///< in the prompt, visual ones included …
  int64_t image_tokens = 0;   ///< … and of those the visual ones
  int64_t cached_tokens = 0;  ///< of the prompt, kept from the turn before
  std::vector<std::array<float, 4>>
      boxes;  ///< of a model with boxes as embeddings: x1, y1, x2, y2 in [0, 1] of the padded square
  Timings timings;
};

/// Questions about the same pictures, each answered on its own: the prefix is encoded and prefilled once.
struct QuestionGroup {
  std::vector<int64_t> prefix;  ///< expanded ids up to the last visual row; may be empty
  std::vector<model::PixelTiles> pictures;
  std::vector<std::vector<int64_t>> questions;  ///< ids behind the prefix, each ending where the answer begins
  /// Each question as a connector reads it (Processor::instruction_ids); empty where none does.
  std::vector<std::vector<int64_t>> instructions = {};
};

/// Runs a model: prompts in, tokens out. Not thread-safe.
class Engine {
 public:
  Engine(std::shared_ptr<model::Model> model, std::shared_ptr<const model::Processor> processor,
         const EngineOptions& options = {});

  model::Model& model() { return *model_; }
  const model::Processor& processor() const { return *processor_; }

  /// Answers a prompt (expanded ids, visual_ids.h). What the last prompt and answer had in common with it, pictures included,
  /// stays in the cache: a conversation only pays for what is new. `on_token` sees each id as it is chosen. `boxes`: see
  /// ModelInputs. `instruction_ids`: see Processor. An encoder-decoder (T5) reads each prompt
  /// anew. Throws Error when prompt and answer don't fit the context.
  Generation generate(const std::vector<int64_t>& ids, const std::vector<model::PixelTiles>& pictures,
                      const SamplingOptions& sampling, const std::function<void(int64_t)>& on_token = {},
                      const at::Tensor& boxes = {}, std::span<const int64_t> instruction_ids = {});

  /// Greedy answers for many groups at once, in their order; at most `max_tokens` each.
  std::vector<std::vector<Generation>> answer(std::span<const QuestionGroup> groups, int64_t max_tokens);

 private:
  struct Rows;
  model::Seen encode(std::span<const model::PixelTiles* const> pictures, std::span<const int64_t> instruction_ids = {});
  /// What an encoder-decoder's encoder makes of a prompt.
  at::Tensor read(std::span<const int64_t> ids, const model::Seen& seen);
  model::Positions positions(std::span<const int64_t> ids, std::span<const model::PixelTiles> pictures, int64_t start) const;
  struct Step {
    at::Tensor hidden;  ///< [R, D] of the rows whose logits are wanted
    at::Tensor logits;  ///< [R, V] fp32
  };
  Step run(const Rows& rows);
  /// answer() where nothing is shared between questions.
  std::vector<std::vector<Generation>> answer_one_by_one(std::span<const QuestionGroup> groups, int64_t max_tokens);
  bool is_end(int64_t id) const;
  nn::KvCache make_cache(int64_t rows) const;

  std::shared_ptr<model::Model> model_;
  std::shared_ptr<const model::Processor> processor_;
  EngineOptions options_;
  at::ScalarType dtype_;
  // The conversation so far.
  std::optional<nn::KvCache> cache_;
  int64_t sequence_ = -1;
  std::vector<int64_t> cached_ids_;
  std::vector<std::vector<float>> cached_pixels_;
  std::vector<int64_t> cached_instruction_;
};

}  // namespace ocelli::infer
