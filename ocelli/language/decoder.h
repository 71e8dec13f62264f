#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "ocelli/base/cost.h"
#include "ocelli/language/decoder_config.h"
#include "ocelli/nn/attention_layout.h"
#include "ocelli/nn/kv_cache.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/module.h"
#include "ocelli/nn/norm.h"
#include "ocelli/nn/run.h"

namespace ocelli::language {

/// Rows [begin, end) of the input go to the end of one cached sequence.
struct CacheRows {
  int64_t sequence = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

/// Rows of any number of sequences, laid end to end.
struct DecoderInputs {
  at::Tensor embeds;           ///< [T, D]
  at::Tensor positions;        ///< [T] int64 ([3, T] under M-RoPE), given: never derived from the cache's length
  nn::AttentionLayout layout;  ///< queries are the T rows; keys are the T rows, or the cache's pool when `cache` is set
  /// Length rotary scalings take for the whole sequence; 0: one more than the largest position here.
  int64_t rope_length = 0;
  at::Tensor visual_rows;  ///< int64, rising: rows for the visual expert; undefined: none
  at::Tensor memory;       ///< [M, memory_width] what cross-attention reads; undefined: taken from the cache, else none
  nn::AttentionLayout memory_layout;  ///< queries are the T rows, keys the M rows
  /// Rows whose result is wanted, rising; undefined: all. The last block then computes no others (it needs their keys and values
  /// alone).
  at::Tensor output_rows;
  nn::KvCache* cache = nullptr;  ///< rows must be reserved; they are appended in every layer
  std::vector<CacheRows> cache_rows;
};

/// A decoder of pre-norm blocks: x + attention(norm(x)), then x + mlp(norm(x)), or both at once; with cross-attention between the
/// two where the config has it. Source: Llama, arXiv:2302.13971, and the families named at DecoderConfig's fields.
class Decoder final : public nn::Module {
 public:
  explicit Decoder(const DecoderConfig& config);

  const DecoderConfig& config() const { return config_; }

  /// Rows of the embedding table times embedding_scale. ids: [T] int64 within the vocabulary.
  at::Tensor embed(const at::Tensor& ids) const;
  /// Final-normed hidden states of the wanted rows, divided by logits_divisor, [R, D].
  at::Tensor forward(const DecoderInputs& inputs, nn::RunContext& context);
  /// Logits [R, V] of hidden states [R, D].
  at::Tensor head(const at::Tensor& hidden) const;
  /// The head's weight [V, D] and bias [V] (undefined without): for a fused loss.
  const at::Tensor& head_weight() const;
  at::Tensor head_bias() const;

  /// `visual_tokens` + `text_tokens` new rows behind `cached_tokens`, causal, per sequence; the head over `logit_rows`.
  Cost cost(const Workload& work) const;
  Cost head_cost(const Workload& work) const;
  Cost embedding_cost(const Workload& work) const;

 private:
  class Block;
  class Body;
  /// Rows of the learned position table. Throws Error for a position beyond it.
  at::Tensor learned_places(const at::Tensor& positions) const;

  DecoderConfig config_;
  std::shared_ptr<Body> model_;
  std::shared_ptr<nn::Linear> lm_head_;  ///< null when tied
};

}  // namespace ocelli::language
