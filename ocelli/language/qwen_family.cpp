#include "ocelli/language/decoder_family_list.h"

namespace ocelli::language {
namespace {

void read_both(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = 151936;
  out.hidden_size = 4096;
  out.intermediate_size = 22016;
  out.num_hidden_layers = out.num_attention_heads = out.num_key_value_heads = 32;
  out.max_position_embeddings = 32768;
  read_sizes(config, out);
  read_rope(config, out);
  read_rms_and_act(config, 1e-6, out);
  const int64_t first = config.integer_in("max_window_layers", 0, 1 << 20, 28);
  std::vector<bool> sliding;
  for (int64_t layer = 0; layer < out.num_hidden_layers; ++layer) sliding.push_back(layer >= first);
  read_layer_windows(config, sliding, out);
  read_special_tokens(config, {}, out);
}

void write_both(const DecoderConfig& config, Json& json) {
  write_rms_and_act(config, json);
  write_layer_windows(config, json);
}

void read_qwen2(const JsonView& config, DecoderConfig& out) {
  read_both(config, out);
  out.qkv_bias = true;
}

void read_qwen3(const JsonView& config, DecoderConfig& out) {
  out.head_dim = 128;
  read_both(config, out);
  out.query_key_norm = true;
  out.qkv_bias = out.output_bias = config.boolean("attention_bias", false);
}

void write_qwen3(const DecoderConfig& config, Json& json) {
  write_both(config, json);
  json["attention_bias"] = config.qkv_bias;
}

}  // namespace

DecoderFamily qwen2_family() {
  return {"qwen2", "Qwen2ForCausalLM", read_qwen2, write_both};
}
DecoderFamily qwen3_family() {
  return {"qwen3", "Qwen3ForCausalLM", read_qwen3, write_qwen3};
}

}  // namespace ocelli::language
