#include "ocelli/base/error.h"
#include "ocelli/language/decoder_family_list.h"

namespace ocelli::language {
namespace {

/// Llama's keys over the defaults in `out`.
void read_llama_keys(const JsonView& config, DecoderConfig& out) {
  read_sizes(config, out);
  read_rope(config, out);
  read_rms_and_act(config, 1e-6, out);
  out.qkv_bias = out.output_bias = config.boolean("attention_bias", false);
  out.mlp_bias = config.boolean("mlp_bias", false);
}

/// LlamaConfig's defaults, which published configs leave out.
void read_llama(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 32000;
  out.hidden_size = 4096;
  out.intermediate_size = 11008;
  out.num_hidden_layers = out.num_attention_heads = 32;
  read_llama_keys(config, out);
  read_special_tokens(config, {1, 2}, out);
}

void write_llama(const DecoderConfig& config, Json& json) {
  write_rms_and_act(config, json);
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
  read_rms_and_act(config, 1e-6, out);
  // Null is no window; the first Mistral's is what an absent key means.
  out.sliding_window = config.integer_in("sliding_window", 1, 1 << 24, config.value().contains("sliding_window") ? 0 : 4096);
  read_special_tokens(config, {1, 2}, out);
}

void write_mistral(const DecoderConfig& config, Json& json) {
  write_rms_and_act(config, json);
  json["sliding_window"] = config.sliding_window > 0 ? Json(config.sliding_window) : Json(nullptr);
}

void read_granite(const JsonView& config, DecoderConfig& out) {
  read_llama(config, out);
  out.embedding_scale = config.number("embedding_multiplier", 1);
  out.residual_scale = config.number("residual_multiplier", 1);
  out.query_scale = config.number("attention_multiplier", 1);
  out.logits_divisor = config.number("logits_scaling", 1);
  require(out.query_scale > 0, "{}.attention_multiplier is {}, expected a positive number", config.path(), out.query_scale);
}

void write_granite(const DecoderConfig& config, Json& json) {
  write_llama(config, json);
  json["embedding_multiplier"] = config.embedding_scale;
  json["residual_multiplier"] = config.residual_scale;
  json["attention_multiplier"] = config.query_scale;
  json["logits_scaling"] = config.logits_divisor;
}

void read_smollm3(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 128256;
  out.hidden_size = 2048;
  out.intermediate_size = 11008;
  out.num_hidden_layers = 36;
  out.num_attention_heads = 16;
  out.num_key_value_heads = 4;
  out.max_position_embeddings = 32768;
  out.tie_word_embeddings = true;
  out.rope.theta = 2e6;
  read_llama_keys(config, out);
  const int64_t interval = config.integer_in("no_rope_layer_interval", 1, 1 << 20, 4);
  std::vector<int64_t> rotated;
  if (config.has("no_rope_layers")) rotated = config.integers("no_rope_layers");
  require(rotated.empty() || static_cast<int64_t>(rotated.size()) >= out.num_hidden_layers,
          "{}.no_rope_layers has {} entries for {} layers", config.path(), rotated.size(), out.num_hidden_layers);
  for (int64_t layer = 0; layer < out.num_hidden_layers; ++layer) {
    out.rotary_layers.push_back(rotated.empty() ? (layer + 1) % interval != 0 : rotated[static_cast<size_t>(layer)] != 0);
  }
  std::vector<bool> sliding = out.rotary_layers;
  sliding.flip();
  read_layer_windows(config, sliding, out);
  read_special_tokens(config, {128000, 128001}, out);
}

void write_smollm3(const DecoderConfig& config, Json& json) {
  write_llama(config, json);
  json["no_rope_layers"] = std::vector<int64_t>(config.rotary_layers.begin(), config.rotary_layers.end());
  write_layer_windows(config, json);
  json["pad_token_id"] = nullptr;  // the default is an id of the published vocabulary
}

/// Source: modeling_internlm2.py of InternVL 1.5.
void read_internlm2(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 103168;
  out.hidden_size = 4096;
  out.intermediate_size = 11008;
  out.num_hidden_layers = out.num_attention_heads = 32;
  read_sizes(config, out);
  read_rope(config, out);
  read_rms_and_act(config, 1e-6, out);
  out.qkv_bias = out.output_bias = config.boolean("bias", true);
  read_special_tokens(config, {1, 2}, out);
}

void write_internlm2(const DecoderConfig& config, Json& json) {
  write_rms_and_act(config, json);
  json["bias"] = config.qkv_bias;
  // Its own code knows type and factor, nothing else.
  const Json parameters = json["rope_parameters"];
  json.erase("rope_parameters");
  json["rope_scaling"] = nullptr;
  if (parameters["rope_type"] != "default") {
    json["rope_scaling"] = {{"type", parameters["rope_type"]}, {"factor", parameters["factor"]}};
  }
}

}  // namespace

DecoderFamily llama_family() {
  return {"llama", "LlamaForCausalLM", read_llama, write_llama};
}
DecoderFamily mistral_family() {
  return {"mistral", "MistralForCausalLM", read_mistral, write_mistral};
}
DecoderFamily granite_family() {
  return {"granite", "GraniteForCausalLM", read_granite, write_granite};
}
DecoderFamily smollm3_family() {
  return {"smollm3", "SmolLM3ForCausalLM", read_smollm3, write_smollm3};
}
DecoderFamily internlm2_family() {
  return {"internlm2", "InternLM2ForCausalLM", read_internlm2, write_internlm2, false};
}

}  // namespace ocelli::language
