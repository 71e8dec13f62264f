#pragma once

#include <cstdint>

#include "ocelli/base/json.h"
#include "ocelli/nn/activation.h"

namespace ocelli::connector {

/// Sizes of a Q-Former, by the keys of transformers' `qformer_config` (`Blip2QFormerConfig`), whose values are the defaults.
struct QFormerConfig {
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t intermediate_size = 3072;
  nn::Activation hidden_act = nn::Activation::kGelu;
  double layer_norm_eps = 1e-12;
  int64_t cross_attention_frequency = 2;  ///< layers 0, n, 2n, … look at the picture
  int64_t num_query_tokens = 32;
  /// Instruction text (InstructBLIP): tokens of its vocabulary and rows of its table of positions; a vocab_size of 0: no text.
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 512;
  bool class_token = true;  ///< the features have a row in front of the grid's patches: one key more; for cost() alone
  double initializer_range = 0.02;

  /// `vocab_size` and `max_position_embeddings` are read when `text_input` is true. Throws Error naming key, value and range.
  static QFormerConfig from_json(const JsonView& config);
  Json to_json() const;
};

}  // namespace ocelli::connector
