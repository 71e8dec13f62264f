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

/// OPTConfig's defaults. Pre-norm with learned positions; the smallest published one alone is post-norm with another embedding
/// width.
void read_opt(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 50272;
  out.hidden_size = 768;
  out.num_hidden_layers = out.num_attention_heads = 12;
  out.tie_word_embeddings = true;
  out.initializer_range = config.number("init_std", 0.02);
  out.intermediate_size = config.integer_in("ffn_dim", 1, 1 << 20, 3072);
  read_sizes(config, out);
  for (const auto& [key, wanted] : {std::pair{"do_layer_norm_before", true},
                                    {"enable_bias", true},
                                    {"layer_norm_elementwise_affine", true},
                                    {"_remove_final_layer_norm", false}}) {
    require(config.boolean(key, wanted) == wanted, "{}.{} is {}; this decoder knows {} alone", config.path(), key, !wanted,
            wanted);
  }
  const int64_t embedded = config.integer("word_embed_proj_dim", out.hidden_size);
  require(embedded == out.hidden_size, "{}.word_embed_proj_dim is {}; this decoder knows hidden_size ({}) alone", config.path(),
          embedded, out.hidden_size);
  out.norm = nn::NormKind::kLayer;
  out.norm_eps = 1e-5;
  out.rope.rotary_width = 0;
  out.learned_positions = true;
  out.position_offset = 2;
  out.hidden_act = nn::activation_from_name(config.string("activation_function", "relu"));
  out.gated_mlp = false;
  out.qkv_bias = out.output_bias = out.mlp_bias = true;
  out.bos_token_id = 2;
  out.eos_token_ids = {2};
  read_special_tokens(config, out);
}

void write_opt(const DecoderConfig& config, Json& json) {
  json["ffn_dim"] = config.intermediate_size;
  json["word_embed_proj_dim"] = config.hidden_size;
  json["activation_function"] = nn::name_of(config.hidden_act);
  json["init_std"] = config.initializer_range;
  json["do_layer_norm_before"] = json["enable_bias"] = true;
}

constexpr std::array kFamilies = {
    DecoderFamily{"llama", "LlamaForCausalLM", read_llama, write_llama},
    DecoderFamily{"mistral", "MistralForCausalLM", read_mistral, write_mistral},
    DecoderFamily{"opt", "OPTForCausalLM", read_opt, write_opt},
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
