#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "ocelli/base/cost.h"
#include "ocelli/language/decoder.h"
#include "ocelli/language/encoder_decoder_config.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/module.h"
#include "ocelli/nn/run.h"

namespace ocelli::language {

/// T5: an encoder that reads prompt and pictures in both directions, and a decoder that looks at its result. Norms without
/// centring, no scale in the scores, relative positions as a bias all layers of a stack share (the cross-attention has none).
/// Source: Raffel et al., arXiv:1910.10683; gated form: Shazeer, arXiv:2002.05202. Weights are named as in transformers'
/// T5ForConditionalGeneration.
class EncoderDecoder final : public nn::Module {
 public:
  explicit EncoderDecoder(const EncoderDecoderConfig& config);

  const EncoderDecoderConfig& config() const { return config_; }

  /// Rows of the one embedding table. ids: [T] int64 within the vocabulary.
  at::Tensor embed(const at::Tensor& ids) const;
  /// embeds: [S, D], rows of sequences laid end to end that `layout` keeps apart. Returns the memory, final-normed, [S, D].
  at::Tensor encode(const at::Tensor& embeds, const nn::AttentionLayout& layout, nn::RunContext& context);
  /// The decoder's final-normed hidden states of the wanted rows, scaled as the head wants them, [R, D]. Of `inputs` the
  /// positions are not read: a row's place follows from the layout. With a cache, a given `memory` is kept for the sequences of
  /// `cache_rows`, each of which must have one span of memory_layout; without one the sequences' kept memories are read.
  at::Tensor forward(const DecoderInputs& inputs, nn::RunContext& context);
  /// Logits [R, V] of hidden states [R, D].
  at::Tensor head(const at::Tensor& hidden) const;
  /// The head's weight [V, D]: for a fused loss.
  const at::Tensor& head_weight() const;

  /// `memory_rows` rows through the encoder, per sequence.
  Cost encoder_cost(const Workload& work) const;
  /// `text_tokens` new rows of the decoder behind `cached_tokens`, looking at `memory_rows`, per sequence; keys and values of the
  /// memory are made when nothing is cached.
  Cost cost(const Workload& work) const;
  Cost head_cost(const Workload& work) const;
  /// The table, looked up for `text_tokens` rows.
  Cost embedding_cost(const Workload& work) const;

 private:
  class Attention;
  class FeedForward;
  class Block;
  class Stack;
  struct Pass;

  EncoderDecoderConfig config_;
  at::Tensor shared_;  ///< [V, D]
  std::shared_ptr<Stack> encoder_, decoder_;
  std::shared_ptr<nn::Linear> lm_head_;  ///< null when tied
};

}  // namespace ocelli::language
