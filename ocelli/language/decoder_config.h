#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/nn/activation.h"
#include "ocelli/nn/norm.h"
#include "ocelli/nn/rope.h"

namespace ocelli::language {

/// Cross-attention of every block to a memory that does not grow (CogAgent's high-resolution map).
struct CrossAttentionConfig {
  int64_t memory_width = 0;  ///< of the memory's rows
  int64_t num_heads = 0;
  int64_t head_dim = 0;
};

/// A decoder. Families are settings of it; `model_type` says whose keys it is read from and written with.
struct DecoderConfig {
  std::string model_type = "llama";
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 2048;

  nn::NormKind norm = nn::NormKind::kRms;
  double norm_eps = 1e-6;
  nn::RopeConfig rope;             ///< rotary_width 0: no rotary positions
  int64_t position_offset = 0;     ///< learned positions: added to the position before the table is asked (OPT: 2)
  bool learned_positions = false;  ///< a table of max_position_embeddings + position_offset rows
  nn::Activation hidden_act = nn::Activation::kSilu;
  bool gated_mlp = true;           ///< down(act(gate(x)) * up(x)), else fc2(act(fc1(x)))
  bool parallel_residual = false;  ///< x + attention(norm(x)) + mlp(norm(x)), one norm a block (Phi)
  bool qkv_bias = false;
  bool output_bias = false;  ///< of the attention's closing projection
  bool mlp_bias = false;
  bool head_bias = false;
  bool query_key_norm = false;  ///< RMS norm of each head's query and key before rotation (Qwen3)
  double query_scale = 0;       ///< of the scores; 0: 1 / sqrt(head_dim)
  int64_t sliding_window = 0;   ///< keys a row sees at most, itself included; 0: all
  /// By layer: whether sliding_window holds there; empty: in all (Qwen2's later layers).
  std::vector<bool> sliding_layers = {};
  /// By layer: whether queries and keys are rotated; empty: in all (SmolLM3 leaves every fourth out).
  std::vector<bool> rotary_layers = {};
  /// Beyond this length a query is multiplied by log(position + 1) / log(length) (first Qwen); 0: never.
  int64_t log_n_length = 0;
  double embedding_scale = 1;  ///< text embeddings times this (MiniCPM 12, Gemma sqrt(D))
  double residual_scale = 1;   ///< each branch times this before it is added (MiniCPM)
  double logits_divisor = 1;   ///< final hidden states divided by this before the head (MiniCPM)
  bool tie_word_embeddings = false;
  bool visual_expert = false;            ///< rows of visual tokens have projections and MLP of their own (CogVLM)
  CrossAttentionConfig cross_attention;  ///< num_heads 0: none

  double initializer_range = 0.02;
  /// -1 when the config names none.
  int64_t bos_token_id = -1;
  std::vector<int64_t> eos_token_ids;

  /// Reads the keys of that `model_type`'s transformers configuration: the list is in decoder_family_list.h. Throws Error
  /// naming key, value and what would be right, also for a variant this decoder does not have.
  static DecoderConfig from_json(const JsonView& config);
  bool slides(int64_t layer) const {
    return sliding_window > 0 && (sliding_layers.empty() || sliding_layers[static_cast<size_t>(layer)]);
  }
  bool rotates(int64_t layer) const {
    return rope.rotary_width > 0 && (rotary_layers.empty() || rotary_layers[static_cast<size_t>(layer)]);
  }
  /// What from_json() reads back; for a `model_type` transformers knows, what transformers reads.
  Json to_json() const;
};

}  // namespace ocelli::language
