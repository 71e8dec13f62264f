#pragma once

#include <cstdint>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/nn/activation.h"

namespace ocelli::language {

/// A T5, by the keys of transformers' T5Config, whose values are the defaults.
struct EncoderDecoderConfig {
  int64_t vocab_size = 32128;
  int64_t d_model = 512;
  int64_t d_kv = 64;  ///< width of a head
  int64_t d_ff = 2048;
  int64_t num_layers = 6;          ///< of the encoder
  int64_t num_decoder_layers = 6;  ///< as many as the encoder's when absent
  int64_t num_heads = 8;
  int64_t relative_attention_num_buckets = 32;
  int64_t relative_attention_max_distance = 128;
  double layer_norm_epsilon = 1e-6;
  double initializer_factor = 1.0;
  /// `dense_act_fn` decides; where it is absent `feed_forward_proj` says "relu", "gated-gelu" (which means gelu_new),
  /// "gated-silu" …
  nn::Activation dense_act_fn = nn::Activation::kRelu;
  bool is_gated_act = false;  ///< wo(act(wi_0(x)) * wi_1(x)), else wo(act(wi(x)))
  bool tie_word_embeddings = true;
  /// Final hidden states are multiplied by d_model^-1/2 before the head: `scale_decoder_outputs`, and where it is absent
  /// tie_word_embeddings.
  bool scale_decoder_outputs = true;
  int64_t decoder_start_token_id = 0;
  int64_t pad_token_id = 0;
  std::vector<int64_t> eos_token_ids = {1};

  /// Throws Error naming key, value and what would be right.
  static EncoderDecoderConfig from_json(const JsonView& config);
  /// What transformers reads, with `model_type` "t5".
  Json to_json() const;
};

}  // namespace ocelli::language
