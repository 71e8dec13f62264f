#pragma once

#include <cstdint>

#include "ocelli/base/json.h"
#include "ocelli/nn/activation.h"

namespace ocelli::language {

/// A decoder of the Llama family, by the keys of Hugging Face's `config.json`.
struct DecoderConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 2048;
  nn::Activation hidden_act = nn::Activation::kSilu;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  double initializer_range = 0.02;
  /// -1 when the config names none.
  int64_t bos_token_id = -1;
  std::vector<int64_t> eos_token_ids;

  /// `config` has `model_type` llama. Throws Error naming key, value and what would be right: also for scaled rotary
  /// embeddings, which this decoder does not have.
  static DecoderConfig from_json(const JsonView& config);
  Json to_json() const;
};

}  // namespace ocelli::language
