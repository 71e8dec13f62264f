#include <cmath>

#include "ocelli/language/decoder_family_list.h"

namespace ocelli::language {
namespace {

void read_gemma(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 256000;
  out.hidden_size = 3072;
  out.intermediate_size = 24576;
  out.num_hidden_layers = 28;
  out.num_attention_heads = out.num_key_value_heads = 16;
  out.head_dim = 256;
  out.max_position_embeddings = 8192;
  out.tie_word_embeddings = true;
  read_sizes(config, out);
  read_rope(config, out);
  require_switch(config, "use_bidirectional_attention", false);
  out.norm = nn::NormKind::kRmsPlusOne;
  out.norm_eps = config.number("rms_norm_eps", 1e-6);
  // The first configs say "gelu" and mean its tanh form, as transformers takes it.
  const std::string act = config.string("hidden_act", "gelu_pytorch_tanh");
  out.hidden_act = act == "gelu" ? nn::Activation::kGeluTanh : nn::activation_from_name(act);
  out.qkv_bias = out.output_bias = config.boolean("attention_bias", false);
  out.embedding_scale = std::sqrt(static_cast<double>(out.hidden_size));
  read_special_tokens(config, {2, 1}, out);
}

void write_gemma(const DecoderConfig& config, Json& json) {
  write_rms_and_act(config, json);
  json["attention_bias"] = config.qkv_bias;
}

}  // namespace

DecoderFamily gemma_family() {
  return {"gemma", "GemmaForCausalLM", read_gemma, write_gemma};
}

}  // namespace ocelli::language
