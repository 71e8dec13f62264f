#pragma once

#include <span>
#include <string_view>

#include "ocelli/language/decoder_config.h"

namespace ocelli::language {

/// One `model_type`: how its keys say what a DecoderConfig says.
struct DecoderFamily {
  std::string_view model_type;
  std::string_view architecture;  ///< transformers' class
  void (*read)(const JsonView& config, DecoderConfig& out);
  /// Adds what DecoderConfig::to_json() hasn't written: the family's own keys.
  void (*write)(const DecoderConfig& config, Json& json);
  bool in_transformers = true;  ///< whether transformers itself has the class
};

/// The explicit list.
std::span<const DecoderFamily> decoder_families();

/// nullptr when there is none of that `model_type`.
const DecoderFamily* find_decoder_family(std::string_view model_type);

/// The class of transformers that reads it: "LlamaForCausalLM".
std::string_view architecture_of(const DecoderConfig& config);

// What the families share; absent keys keep what `out` holds (the family's defaults).

/// vocab_size, hidden_size, intermediate_size, layers, heads, head_dim, max_position_embeddings, initializer_range,
/// tie_word_embeddings.
void read_sizes(const JsonView& config, DecoderConfig& out);
/// rope_theta, partial_rotary_factor, rope_scaling or rope_parameters; after read_sizes(). `rotary_fraction`: of a head, when the
/// config does not say.
void read_rope(const JsonView& config, DecoderConfig& out, double rotary_fraction = 1);
/// What cosine and sine are multiplied by under LongRoPE: sqrt(1 + ln(ratio) / ln(original length)). Ding et al.,
/// arXiv:2402.13753, as transformers takes it.
double longrope_attention_factor(double ratio, int64_t original_length);
/// bos_token_id, eos_token_id.
void read_special_tokens(const JsonView& config, DecoderConfig& out);

}  // namespace ocelli::language
