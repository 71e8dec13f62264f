#include "ocelli/base/error.h"
#include "ocelli/language/decoder_family_list.h"

namespace ocelli::language {
namespace {

/// PhiConfig: one LayerNorm a block, attention and MLP side by side, a bias everywhere.
void read_phi(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 51200;
  out.hidden_size = 2048;
  out.intermediate_size = 8192;
  out.num_hidden_layers = 24;
  out.num_attention_heads = 32;
  read_sizes(config, out);
  read_rope(config, out, 0.5);
  require_switch(config, "qk_layernorm", false);
  require_switch(config, "tie_word_embeddings", false);  // the head's bias would stand alone
  out.norm = nn::NormKind::kLayer;
  out.norm_eps = config.number("layer_norm_eps", 1e-5);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "gelu_new"));
  out.gated_mlp = false;
  out.parallel_residual = true;
  out.qkv_bias = out.output_bias = out.mlp_bias = out.head_bias = true;
  read_special_tokens(config, {1, 2}, out);
}

void write_phi(const DecoderConfig& config, Json& json) {
  json["layer_norm_eps"] = config.norm_eps;
  json["hidden_act"] = nn::name_of(config.hidden_act);
  // PhiConfig takes half of a head when it is silent.
  const double fraction = static_cast<double>(config.rope.rotary_width) / static_cast<double>(config.head_dim);
  json["partial_rotary_factor"] = json.value("partial_rotary_factor", fraction);
  json["rope_parameters"]["partial_rotary_factor"] = json["partial_rotary_factor"];
}

void read_phi3(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 32064;
  out.hidden_size = 3072;
  out.intermediate_size = 8192;
  out.num_hidden_layers = out.num_attention_heads = 32;
  out.max_position_embeddings = 4096;
  read_sizes(config, out);
  out.rope.original_length = 4096;
  read_rope(config, out);
  read_rms_and_act(config, 1e-5, out);
  out.sliding_window = config.integer_in("sliding_window", 1, 1 << 24, 0);
  read_special_tokens(config, {1, 32000}, out);
}

void write_phi3(const DecoderConfig& config, Json& json) {
  write_rms_and_act(config, json);
  json["sliding_window"] = config.sliding_window > 0 ? Json(config.sliding_window) : Json(nullptr);
  // The default is an id of the published vocabulary.
  json["pad_token_id"] = nullptr;
  if (config.rope.scaling != nn::RopeConfig::Scaling::kLongRope) return;
  json["original_max_position_embeddings"] = config.rope.original_length;
  json["rope_scaling"] = {
      {"type", "longrope"}, {"short_factor", config.rope.short_factor}, {"long_factor", config.rope.long_factor}};
  const double lengths = static_cast<double>(config.max_position_embeddings) / static_cast<double>(config.rope.original_length);
  // Before version 5 three keys were all it took; the lengths then say the rest.
  if (config.rope.attention_factor != longrope_attention_factor(lengths, config.rope.original_length)) {
    json["rope_scaling"]["attention_factor"] = config.rope.attention_factor;
  }
}

}  // namespace

DecoderFamily phi_family() {
  return {"phi", "PhiForCausalLM", read_phi, write_phi};
}
DecoderFamily phi3_family() {
  return {"phi3", "Phi3ForCausalLM", read_phi3, write_phi3};
}

}  // namespace ocelli::language
