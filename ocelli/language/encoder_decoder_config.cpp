#include "ocelli/language/encoder_decoder_config.h"

#include <string>

namespace ocelli::language {

EncoderDecoderConfig EncoderDecoderConfig::from_json(const JsonView& config) {
  EncoderDecoderConfig out;
  out.vocab_size = config.integer_in("vocab_size", 1, 1 << 21, out.vocab_size);
  out.d_model = config.integer_in("d_model", 1, 1 << 17, out.d_model);
  out.d_kv = config.integer_in("d_kv", 1, 4096, out.d_kv);
  out.d_ff = config.integer_in("d_ff", 1, 1 << 20, out.d_ff);
  out.num_layers = config.integer_in("num_layers", 1, 1024, out.num_layers);
  out.num_decoder_layers = config.integer_in("num_decoder_layers", 1, 1024, out.num_layers);
  out.num_heads = config.integer_in("num_heads", 1, 1 << 12, out.num_heads);
  // Half of the encoder's buckets are for each direction, half of those for exact distances.
  out.relative_attention_num_buckets =
      config.integer_in("relative_attention_num_buckets", 4, 1 << 16, out.relative_attention_num_buckets);
  require(out.relative_attention_num_buckets % 4 == 0, "{}: relative_attention_num_buckets is {}, expected a multiple of 4",
          config.path(), out.relative_attention_num_buckets);
  out.relative_attention_max_distance =
      config.integer_in("relative_attention_max_distance", out.relative_attention_num_buckets, 1 << 24,
                        std::max(out.relative_attention_num_buckets, out.relative_attention_max_distance));
  out.layer_norm_epsilon = config.number("layer_norm_epsilon", out.layer_norm_epsilon);
  out.initializer_factor = config.number("initializer_factor", out.initializer_factor);

  const std::string projection = config.string("feed_forward_proj", "relu");
  const bool gated = projection.starts_with("gated-");
  std::string activation = gated ? projection.substr(6) : projection;
  if (projection == "gated-gelu") activation = "gelu_new";
  out.is_gated_act = config.boolean("is_gated_act", gated);
  out.dense_act_fn = nn::activation_from_name(config.string("dense_act_fn", activation));
  out.tie_word_embeddings = config.boolean("tie_word_embeddings", true);
  out.scale_decoder_outputs = config.boolean("scale_decoder_outputs", out.tie_word_embeddings);

  out.pad_token_id = config.integer_in("pad_token_id", 0, out.vocab_size - 1, out.pad_token_id);
  out.decoder_start_token_id = config.integer_in("decoder_start_token_id", 0, out.vocab_size - 1, out.pad_token_id);
  if (config.has("eos_token_id")) {
    out.eos_token_ids.clear();
    if (config.value()["eos_token_id"].is_array()) {
      out.eos_token_ids = config.integers("eos_token_id");
    } else {
      out.eos_token_ids.push_back(config.integer("eos_token_id"));
    }
  }
  return out;
}

Json EncoderDecoderConfig::to_json() const {
  const std::string activation(nn::name_of(dense_act_fn));
  Json json = {{"model_type", "t5"},
               {"is_encoder_decoder", true},
               {"vocab_size", vocab_size},
               {"d_model", d_model},
               {"d_kv", d_kv},
               {"d_ff", d_ff},
               {"num_layers", num_layers},
               {"num_decoder_layers", num_decoder_layers},
               {"num_heads", num_heads},
               {"relative_attention_num_buckets", relative_attention_num_buckets},
               {"relative_attention_max_distance", relative_attention_max_distance},
               {"layer_norm_epsilon", layer_norm_epsilon},
               {"initializer_factor", initializer_factor},
               {"feed_forward_proj", (is_gated_act ? "gated-" : "") + activation},
               {"dense_act_fn", activation},
               {"is_gated_act", is_gated_act},
               {"tie_word_embeddings", tie_word_embeddings},
               {"scale_decoder_outputs", scale_decoder_outputs},
               {"decoder_start_token_id", decoder_start_token_id},
               {"pad_token_id", pad_token_id}};
  if (eos_token_ids.size() == 1) json["eos_token_id"] = eos_token_ids[0];
  if (eos_token_ids.size() > 1) json["eos_token_id"] = eos_token_ids;
  return json;
}

}  // namespace ocelli::language
