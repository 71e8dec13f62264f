#include "ocelli/language/decoder_families.h"

#include <array>
#include <cmath>

#include "ocelli/base/error.h"

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

/// The first Qwen, by its own configuration_qwen.py: `intermediate_size` is twice the MLP's width.
void read_qwen(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 151936;
  out.hidden_size = 4096;
  out.intermediate_size = 22016;
  out.num_hidden_layers = out.num_attention_heads = 32;
  out.max_position_embeddings = 8192;
  read_sizes(config, out);
  require(out.intermediate_size % 2 == 0, "{}.intermediate_size is {}, expected twice the width of the MLP", config.path(),
          out.intermediate_size);
  out.intermediate_size /= 2;
  const int64_t channels = config.integer_in("kv_channels", 1, 4096, out.head_dim);
  require(channels == out.head_dim, "{}.kv_channels is {}, but hidden_size {} has {} heads of {}", config.path(), channels,
          out.hidden_size, out.num_attention_heads, out.head_dim);
  const int64_t length = config.integer_in("seq_length", 1, 1 << 24, 2048);
  out.rope.theta = config.number("rotary_emb_base", 10000.0);
  out.rope.rotary_width = static_cast<int64_t>(static_cast<double>(out.head_dim) * config.number("rotary_pct", 1.0));
  require(
      out.rope.theta > 0 && out.rope.rotary_width >= 2 && out.rope.rotary_width % 2 == 0 && out.rope.rotary_width <= out.head_dim,
      "{}: rotary_emb_base {} must be positive and rotary_pct make an even number of a head's {}, it makes {}", config.path(),
      out.rope.theta, out.head_dim, out.rope.rotary_width);
  out.rope.original_length = length;
  if (config.boolean("use_dynamic_ntk", true)) out.rope.scaling = nn::RopeConfig::Scaling::kQwen;
  if (config.boolean("use_logn_attn", true)) out.log_n_length = length;
  out.norm_eps = config.number("layer_norm_epsilon", 1e-6);
  out.qkv_bias = true;
  out.output_bias = out.mlp_bias = !config.boolean("no_bias", true);
  read_special_tokens(config, out);
}

void write_qwen(const DecoderConfig& config, Json& json) {
  json["intermediate_size"] = 2 * config.intermediate_size;
  json["kv_channels"] = config.head_dim;
  json["seq_length"] = config.rope.original_length;
  json["rotary_emb_base"] = config.rope.theta;
  json["rotary_pct"] = static_cast<double>(config.rope.rotary_width) / static_cast<double>(config.head_dim);
  json["use_dynamic_ntk"] = config.rope.scaling == nn::RopeConfig::Scaling::kQwen;
  json["use_logn_attn"] = config.log_n_length > 0;
  json["layer_norm_epsilon"] = config.norm_eps;
  json["no_bias"] = !config.mlp_bias;
}

/// Llama with scales, by its own configuration_minicpm.py.
void read_minicpm(const JsonView& config, DecoderConfig& out) {
  read_llama(config, out);
  out.embedding_scale = config.number("scale_emb", 1);
  out.residual_scale = config.number("scale_depth", 1) / std::sqrt(static_cast<double>(out.num_hidden_layers));
  const double base = config.number("dim_model_base", 1);
  require(base > 0, "{}.dim_model_base is {}, expected a positive number", config.path(), base);
  out.logits_divisor = static_cast<double>(out.hidden_size) / base;
}

void write_minicpm(const DecoderConfig& config, Json& json) {
  write_llama(config, json);
  json["scale_emb"] = config.embedding_scale;
  json["scale_depth"] = config.residual_scale * std::sqrt(static_cast<double>(config.num_hidden_layers));
  json["dim_model_base"] = static_cast<double>(config.hidden_size) / config.logits_divisor;
}

constexpr std::array kFamilies = {
    DecoderFamily{"llama", "LlamaForCausalLM", read_llama, write_llama},
    DecoderFamily{"mistral", "MistralForCausalLM", read_mistral, write_mistral},
    DecoderFamily{"opt", "OPTForCausalLM", read_opt, write_opt},
    DecoderFamily{"minicpm", "MiniCPMForCausalLM", read_minicpm, write_minicpm},
    DecoderFamily{"qwen", "QWenLMHeadModel", read_qwen, write_qwen},
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
