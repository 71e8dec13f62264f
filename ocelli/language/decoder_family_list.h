#pragma once

#include "ocelli/language/decoder_families.h"

namespace ocelli::language {

// One function a `model_type`, each in the file of its family.

DecoderFamily llama_family();  ///< Llama 1-3, Vicuna, Yi, MobileLLaMA, DeepSeek, SmolLM
DecoderFamily mistral_family();
DecoderFamily granite_family();    ///< also what MiniCPM computes
DecoderFamily smollm3_family();    ///< some layers without rotation
DecoderFamily internlm2_family();  ///< not in transformers
DecoderFamily qwen2_family();      ///< Qwen 2 and 2.5
DecoderFamily qwen3_family();
DecoderFamily phi_family();   ///< Phi-1, 1.5 and 2
DecoderFamily phi3_family();  ///< Phi-3, 3.5 and 4
DecoderFamily gemma_family();
DecoderFamily opt_family();
DecoderFamily minicpm_family();  ///< MiniCPM-2.4B; not in transformers
DecoderFamily qwen_family();     ///< the first Qwen; not in transformers

// What their readers share.

/// Ids that are the family's when the config is silent; an explicit null is none.
struct SpecialTokens {
  int64_t bos = -1;
  int64_t eos = -1;
};
void read_special_tokens(const JsonView& config, SpecialTokens absent, DecoderConfig& out);
/// `rms_norm_eps`, `hidden_act`.
void read_rms_and_act(const JsonView& config, double eps, DecoderConfig& out);
void write_rms_and_act(const DecoderConfig& config, Json& json);
/// use_sliding_window, sliding_window, layer_types; `absent`: the layers with a window when layer_types is absent.
void read_layer_windows(const JsonView& config, std::vector<bool> absent, DecoderConfig& out);
void write_layer_windows(const DecoderConfig& config, Json& json);
/// Throws Error naming the key unless the switch is what this decoder does.
void require_switch(const JsonView& config, std::string_view key, bool wanted);

}  // namespace ocelli::language
