#include "ocelli/connector/qformer_config.h"

#include "ocelli/base/error.h"

namespace ocelli::connector {

QFormerConfig QFormerConfig::from_json(const JsonView& config) {
  QFormerConfig out;
  out.hidden_size = config.integer_in("hidden_size", 1, 1 << 16, out.hidden_size);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 1, 256, out.num_hidden_layers);
  out.num_attention_heads = config.integer_in("num_attention_heads", 1, 1 << 12, out.num_attention_heads);
  require(out.hidden_size % out.num_attention_heads == 0, "{}: hidden_size {} is no multiple of num_attention_heads {}",
          config.path(), out.hidden_size, out.num_attention_heads);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 1 << 18, out.intermediate_size);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "gelu"));
  out.layer_norm_eps = config.number("layer_norm_eps", out.layer_norm_eps);
  out.cross_attention_frequency = config.integer_in("cross_attention_frequency", 1, 256, out.cross_attention_frequency);
  out.num_query_tokens = config.integer_in("num_query_tokens", 1, 1 << 16, out.num_query_tokens);
  out.class_token = config.boolean("class_token", out.class_token);
  out.initializer_range = config.number("initializer_range", out.initializer_range);
  if (config.boolean("text_input", false)) {
    out.vocab_size = config.integer_in("vocab_size", 1, 1 << 21, 30522);
    out.max_position_embeddings = config.integer_in("max_position_embeddings", 1, 1 << 20, out.max_position_embeddings);
  }
  return out;
}

Json QFormerConfig::to_json() const {
  Json json = {{"hidden_size", hidden_size},
               {"num_hidden_layers", num_hidden_layers},
               {"num_attention_heads", num_attention_heads},
               {"intermediate_size", intermediate_size},
               {"hidden_act", nn::name_of(hidden_act)},
               {"layer_norm_eps", layer_norm_eps},
               {"cross_attention_frequency", cross_attention_frequency},
               {"num_query_tokens", num_query_tokens},
               {"class_token", class_token},
               {"initializer_range", initializer_range},
               {"text_input", vocab_size > 0}};
  if (vocab_size > 0) {
    json["vocab_size"] = vocab_size;
    json["max_position_embeddings"] = max_position_embeddings;
  }
  return json;
}

}  // namespace ocelli::connector
