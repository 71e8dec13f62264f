#include "ocelli/base/error.h"
#include "ocelli/language/decoder_family_list.h"

namespace ocelli::language {
namespace {

/// OPTConfig: pre-norm with learned positions. The published 350M alone is post-norm with an embedding width of its own.
void read_opt(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 50272;
  out.hidden_size = 768;
  out.num_hidden_layers = out.num_attention_heads = 12;
  out.tie_word_embeddings = true;
  out.initializer_range = config.number("init_std", 0.02);
  out.intermediate_size = config.integer_in("ffn_dim", 1, 1 << 20, 3072);
  read_sizes(config, out);
  require(out.num_key_value_heads == out.num_attention_heads && out.head_dim * out.num_attention_heads == out.hidden_size,
          "{}: {} query heads, {} key-value heads of width {} and hidden_size {}; OPT has as many of each, which fill it",
          config.path(), out.num_attention_heads, out.num_key_value_heads, out.head_dim, out.hidden_size);
  require_switch(config, "do_layer_norm_before", true);
  require_switch(config, "layer_norm_elementwise_affine", true);
  require_switch(config, "_remove_final_layer_norm", false);
  const int64_t embedded = config.integer("word_embed_proj_dim", out.hidden_size);
  require(embedded == out.hidden_size, "{}.word_embed_proj_dim is {}; this decoder knows hidden_size ({}) alone", config.path(),
          embedded, out.hidden_size);
  out.norm = nn::NormKind::kLayer;
  out.norm_eps = 1e-5;
  out.learned_positions = true;
  out.position_offset = 2;
  out.hidden_act = nn::activation_from_name(config.string("activation_function", "relu"));
  out.gated_mlp = false;
  out.qkv_bias = out.output_bias = out.mlp_bias = config.boolean("enable_bias", true);
  read_special_tokens(config, {2, 2}, out);
}

void write_opt(const DecoderConfig& config, Json& json) {
  for (const char* key : {"intermediate_size", "num_key_value_heads", "head_dim", "initializer_range"}) json.erase(key);
  json["ffn_dim"] = config.intermediate_size;
  json["word_embed_proj_dim"] = config.hidden_size;
  json["activation_function"] = nn::name_of(config.hidden_act);
  json["init_std"] = config.initializer_range;
  json["do_layer_norm_before"] = true;
  json["enable_bias"] = config.qkv_bias;
}

}  // namespace

DecoderFamily opt_family() {
  return {"opt", "OPTForCausalLM", read_opt, write_opt};
}

}  // namespace ocelli::language
