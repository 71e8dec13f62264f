#include "ocelli/language/decoder_families.h"

#include <array>

namespace ocelli::language {
namespace {

/// LlamaConfig's defaults, which published configs leave out; Vicuna, Yi, MobileLLaMA, DeepSeek and SmolLM are this.
void read_llama(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 32000;
  out.hidden_size = 4096;
  out.intermediate_size = 11008;
  out.num_hidden_layers = out.num_attention_heads = 32;
  read_sizes(config, out);
  read_rope(config, out);
  out.norm_eps = config.number("rms_norm_eps", 1e-6);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "silu"));
  out.qkv_bias = out.output_bias = config.boolean("attention_bias", false);
  out.mlp_bias = config.boolean("mlp_bias", false);
  read_special_tokens(config, out);
}

void write_llama(const DecoderConfig& config, Json& json) {
  json["rms_norm_eps"] = config.norm_eps;
  json["hidden_act"] = nn::name_of(config.hidden_act);
  json["attention_bias"] = config.qkv_bias;
  json["mlp_bias"] = config.mlp_bias;
}

void read_mistral(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 32000;
  out.hidden_size = 4096;
  out.intermediate_size = 14336;
  out.num_hidden_layers = out.num_attention_heads = 32;
  out.num_key_value_heads = 8;
  out.max_position_embeddings = 4096 * 32;
  read_sizes(config, out);
  read_rope(config, out);
  out.norm_eps = config.number("rms_norm_eps", 1e-6);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "silu"));
  out.sliding_window = config.integer_in("sliding_window", 0, 1 << 24, 0);
  read_special_tokens(config, out);
}

void write_mistral(const DecoderConfig& config, Json& json) {
  json["rms_norm_eps"] = config.norm_eps;
  json["hidden_act"] = nn::name_of(config.hidden_act);
  json["sliding_window"] = config.sliding_window > 0 ? Json(config.sliding_window) : Json(nullptr);
}

constexpr std::array kFamilies = {
    DecoderFamily{"llama", "LlamaForCausalLM", read_llama, write_llama},
    DecoderFamily{"mistral", "MistralForCausalLM", read_mistral, write_mistral},
};

}  // namespace

std::span<const DecoderFamily> decoder_families() {
  return kFamilies;
}

std::string_view architecture_of(const DecoderConfig& config) {
  for (const DecoderFamily& family : kFamilies) {
    if (family.model_type == config.model_type) return family.architecture;
  }
  return "OcelliForCausalLM";
}

}  // namespace ocelli::language
