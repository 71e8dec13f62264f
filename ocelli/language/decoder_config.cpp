#include "ocelli/language/decoder_config.h"

namespace ocelli::language {

DecoderConfig DecoderConfig::from_json(const JsonView& config) {
  constexpr int64_t kWidest = 1 << 17;
  DecoderConfig out;
  const std::string type = config.string("model_type");
  require(type == "llama", "{}.model_type is \"{}\"; known is llama", config.path(), type);
  // Defaults are those of transformers' LlamaConfig, which leaves out what equals them.
  out.vocab_size = config.integer_in("vocab_size", 1, 1 << 21, 32000);
  out.hidden_size = config.integer_in("hidden_size", 1, kWidest, 4096);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest, 11008);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 1, 1024, 32);
  out.num_attention_heads = config.integer_in("num_attention_heads", 1, kWidest, 32);
  out.num_key_value_heads = config.integer_in("num_key_value_heads", 1, kWidest, out.num_attention_heads);
  if (!config.has("head_dim")) {
    require(out.hidden_size % out.num_attention_heads == 0, "{}: hidden_size {} is no multiple of num_attention_heads {}", config.path(),
            out.hidden_size, out.num_attention_heads);
  }
  out.head_dim = config.integer_in("head_dim", 1, 4096, out.hidden_size / out.num_attention_heads);
  require(out.num_attention_heads % out.num_key_value_heads == 0, "{}: num_attention_heads {} is no multiple of num_key_value_heads {}",
          config.path(), out.num_attention_heads, out.num_key_value_heads);
  require(out.head_dim % 2 == 0, "{}.head_dim is {}, expected an even number for rotary positions", config.path(), out.head_dim);
  out.max_position_embeddings = config.integer_in("max_position_embeddings", 1, 1 << 24, 2048);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "silu"));
  out.rms_norm_eps = config.number("rms_norm_eps", 1e-6);
  out.rope_theta = config.number("rope_theta", 10000.0);
  if (config.has("rope_parameters")) {
    const JsonView rope = config.object("rope_parameters");
    out.rope_theta = rope.number("rope_theta", out.rope_theta);
    const std::string scaling = rope.string("rope_type", "default");
    require(scaling == "default", "{}.rope_type is \"{}\"; known is default", rope.path(), scaling);
  }
  if (config.has("rope_scaling")) {
    const JsonView rope = config.object("rope_scaling");
    const std::string scaling = rope.string("rope_type", rope.string("type", "default"));
    require(scaling == "default", "{}.rope_type is \"{}\"; known is default", rope.path(), scaling);
    out.rope_theta = rope.number("rope_theta", out.rope_theta);
  }
  out.tie_word_embeddings = config.boolean("tie_word_embeddings", false);
  out.attention_bias = config.boolean("attention_bias", false);
  out.mlp_bias = config.boolean("mlp_bias", false);
  out.initializer_range = config.number("initializer_range", 0.02);
  out.bos_token_id = config.integer_in("bos_token_id", 0, out.vocab_size - 1, -1);
  if (config.has("eos_token_id")) {
    if (config.value()["eos_token_id"].is_array()) {
      for (const double id : config.numbers("eos_token_id")) out.eos_token_ids.push_back(static_cast<int64_t>(id));
    } else {
      out.eos_token_ids.push_back(config.integer("eos_token_id"));
    }
  }
  return out;
}

Json DecoderConfig::to_json() const {
  Json json = {{"model_type", "llama"},
               {"vocab_size", vocab_size},
               {"hidden_size", hidden_size},
               {"intermediate_size", intermediate_size},
               {"num_hidden_layers", num_hidden_layers},
               {"num_attention_heads", num_attention_heads},
               {"num_key_value_heads", num_key_value_heads},
               {"head_dim", head_dim},
               {"max_position_embeddings", max_position_embeddings},
               {"hidden_act", nn::name_of(hidden_act)},
               {"rms_norm_eps", rms_norm_eps},
               {"rope_theta", rope_theta},
               {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", rope_theta}}},
               {"tie_word_embeddings", tie_word_embeddings},
               {"attention_bias", attention_bias},
               {"mlp_bias", mlp_bias},
               {"initializer_range", initializer_range}};
  if (bos_token_id >= 0) json["bos_token_id"] = bos_token_id;
  if (eos_token_ids.size() == 1) json["eos_token_id"] = eos_token_ids[0];
  if (eos_token_ids.size() > 1) json["eos_token_id"] = eos_token_ids;
  return json;
}

}  // namespace ocelli::language
