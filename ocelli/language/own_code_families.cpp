// Decoders that only their authors' own code reads.
#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/language/decoder_family_list.h"

namespace ocelli::language {
namespace {

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
  llama_family().read(config, out);
  out.embedding_scale = config.number("scale_emb", 1);
  out.residual_scale = config.number("scale_depth", 1) / std::sqrt(static_cast<double>(out.num_hidden_layers));
  const double base = config.number("dim_model_base", 1);
  require(base > 0, "{}.dim_model_base is {}, expected a positive number", config.path(), base);
  out.logits_divisor = static_cast<double>(out.hidden_size) / base;
}

void write_minicpm(const DecoderConfig& config, Json& json) {
  llama_family().write(config, json);
  json["scale_emb"] = config.embedding_scale;
  json["scale_depth"] = config.residual_scale * std::sqrt(static_cast<double>(config.num_hidden_layers));
  json["dim_model_base"] = static_cast<double>(config.hidden_size) / config.logits_divisor;
}

}  // namespace

DecoderFamily minicpm_family() {
  return {"minicpm", "MiniCPMForCausalLM", read_minicpm, write_minicpm, false};
}
DecoderFamily qwen_family() {
  return {"qwen", "QWenLMHeadModel", read_qwen, write_qwen, false};
}

}  // namespace ocelli::language
