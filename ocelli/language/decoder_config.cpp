#include "ocelli/language/decoder_config.h"

#include <cmath>

#include "ocelli/language/decoder_families.h"

namespace ocelli::language {
namespace {

constexpr int64_t kWidest = 1 << 17;

std::vector<double> factors(const JsonView& rope, std::string_view key, int64_t count) {
  std::vector<double> values = rope.numbers(key);
  require(static_cast<int64_t>(values.size()) == count, "{}.{} has {} numbers, expected {}", rope.path(), key, values.size(),
          count);
  return values;
}

}  // namespace

void read_sizes(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = config.integer_in("vocab_size", 1, 1 << 21, out.vocab_size);
  out.hidden_size = config.integer_in("hidden_size", 1, kWidest, out.hidden_size);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest, out.intermediate_size);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 1, 1024, out.num_hidden_layers);
  out.num_attention_heads = config.integer_in("num_attention_heads", 1, kWidest, out.num_attention_heads);
  const int64_t key_heads = out.num_key_value_heads > 0 ? out.num_key_value_heads : out.num_attention_heads;
  out.num_key_value_heads = config.integer_in("num_key_value_heads", 1, kWidest, key_heads);
  if (!config.has("head_dim") && out.head_dim == 0) {
    require(out.hidden_size % out.num_attention_heads == 0, "{}: hidden_size {} is no multiple of num_attention_heads {}",
            config.path(), out.hidden_size, out.num_attention_heads);
  }
  out.head_dim =
      config.integer_in("head_dim", 1, 4096, out.head_dim > 0 ? out.head_dim : out.hidden_size / out.num_attention_heads);
  require(out.num_attention_heads % out.num_key_value_heads == 0,
          "{}: num_attention_heads {} is no multiple of num_key_value_heads {}", config.path(), out.num_attention_heads,
          out.num_key_value_heads);
  out.max_position_embeddings = config.integer_in("max_position_embeddings", 1, 1 << 24, out.max_position_embeddings);
  out.initializer_range = config.number("initializer_range", out.initializer_range);
  out.tie_word_embeddings = config.boolean("tie_word_embeddings", out.tie_word_embeddings);
}

void read_rope(const JsonView& config, DecoderConfig& out) {
  double rotary_fraction = config.number("partial_rotary_factor", 1.0);
  nn::RopeConfig& rope = out.rope;
  rope.theta = config.number("rope_theta", rope.theta);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key)) continue;
    const JsonView given = config.object(key);
    rope.theta = given.number("rope_theta", rope.theta);
    rotary_fraction = given.number("partial_rotary_factor", rotary_fraction);
    const std::string type = given.string("rope_type", given.string("type", "default"));
    if (given.has("mrope_section")) {
      rope.mrope_section.clear();
      for (const double value : given.numbers("mrope_section")) rope.mrope_section.push_back(static_cast<int64_t>(value));
      rope.mrope_interleaved = given.boolean("mrope_interleaved", false);
    }
    if (type == "default" || type == "mrope") continue;
    rope.factor = given.number("factor", 1.0);
    rope.original_length = given.integer("original_max_position_embeddings",
                                         config.integer("original_max_position_embeddings", out.max_position_embeddings));
    if (type == "linear") {
      rope.scaling = nn::RopeConfig::Scaling::kLinear;
    } else if (type == "dynamic") {
      rope.scaling = nn::RopeConfig::Scaling::kDynamic;
    } else if (type == "llama3") {
      rope.scaling = nn::RopeConfig::Scaling::kLlama3;
      rope.low_frequency_factor = given.number("low_freq_factor");
      rope.high_frequency_factor = given.number("high_freq_factor");
    } else if (type == "longrope" || type == "su") {
      rope.scaling = nn::RopeConfig::Scaling::kLongRope;
    } else {
      fail("{}.rope_type is \"{}\"; known are default, linear, dynamic, llama3, longrope, mrope", given.path(), type);
    }
  }
  rope.rotary_width = static_cast<int64_t>(static_cast<double>(out.head_dim) * rotary_fraction);
  require(rope.rotary_width >= 2 && rope.rotary_width % 2 == 0 && rope.rotary_width <= out.head_dim,
          "{}: {} of the {} numbers of a head are rotated, expected an even number of at least 2", config.path(),
          rope.rotary_width, out.head_dim);
  require(rope.theta > 0 && rope.factor > 0, "{}: rope_theta {} and factor {} must be positive", config.path(), rope.theta,
          rope.factor);
  if (rope.scaling == nn::RopeConfig::Scaling::kLongRope) {
    const JsonView given = config.object(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
    rope.short_factor = factors(given, "short_factor", rope.rotary_width / 2);
    rope.long_factor = factors(given, "long_factor", rope.rotary_width / 2);
    const double ratio = static_cast<double>(out.max_position_embeddings) / static_cast<double>(rope.original_length);
    const double computed =
        ratio <= 1 ? 1.0 : std::sqrt(1 + std::log(ratio) / std::log(static_cast<double>(rope.original_length)));
    rope.attention_factor = given.number("attention_factor", computed);
  }
}

void read_special_tokens(const JsonView& config, DecoderConfig& out) {
  out.bos_token_id = config.integer_in("bos_token_id", 0, out.vocab_size - 1, out.bos_token_id);
  if (!config.has("eos_token_id")) return;
  out.eos_token_ids.clear();
  if (config.value()["eos_token_id"].is_array()) {
    for (const double id : config.numbers("eos_token_id")) out.eos_token_ids.push_back(static_cast<int64_t>(id));
  } else {
    out.eos_token_ids.push_back(config.integer("eos_token_id"));
  }
}

DecoderConfig DecoderConfig::from_json(const JsonView& config) {
  const std::string type = config.string("model_type");
  for (const DecoderFamily& family : decoder_families()) {
    if (family.model_type != type) continue;
    DecoderConfig out;
    out.model_type = type;
    family.read(config, out);
    return out;
  }
  std::string known;
  for (const DecoderFamily& family : decoder_families()) known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  fail("{}.model_type is \"{}\"; known decoders are {}", config.path(), type, known);
}

Json DecoderConfig::to_json() const {
  Json json = {{"model_type", model_type},
               {"vocab_size", vocab_size},
               {"hidden_size", hidden_size},
               {"intermediate_size", intermediate_size},
               {"num_hidden_layers", num_hidden_layers},
               {"num_attention_heads", num_attention_heads},
               {"num_key_value_heads", num_key_value_heads},
               {"head_dim", head_dim},
               {"max_position_embeddings", max_position_embeddings},
               {"tie_word_embeddings", tie_word_embeddings},
               {"initializer_range", initializer_range}};
  if (bos_token_id >= 0) json["bos_token_id"] = bos_token_id;
  if (eos_token_ids.size() == 1) json["eos_token_id"] = eos_token_ids[0];
  if (eos_token_ids.size() > 1) json["eos_token_id"] = eos_token_ids;
  if (rope.rotary_width > 0) {
    Json parameters = {{"rope_theta", rope.theta}};
    switch (rope.scaling) {
      case nn::RopeConfig::Scaling::kQwen:  // follows from the family's own keys
      case nn::RopeConfig::Scaling::kNone:
        parameters["rope_type"] = "default";
        break;
      case nn::RopeConfig::Scaling::kLinear:
        parameters["rope_type"] = "linear";
        break;
      case nn::RopeConfig::Scaling::kDynamic:
        parameters["rope_type"] = "dynamic";
        break;
      case nn::RopeConfig::Scaling::kLlama3:
        parameters["rope_type"] = "llama3";
        parameters["low_freq_factor"] = rope.low_frequency_factor;
        parameters["high_freq_factor"] = rope.high_frequency_factor;
        break;
      case nn::RopeConfig::Scaling::kLongRope:
        parameters["rope_type"] = "longrope";
        parameters["short_factor"] = rope.short_factor;
        parameters["long_factor"] = rope.long_factor;
        parameters["attention_factor"] = rope.attention_factor;
        break;
    }
    if (parameters["rope_type"] != "default") {
      parameters["factor"] = rope.factor;
      parameters["original_max_position_embeddings"] = rope.original_length;
    }
    if (!rope.mrope_section.empty()) parameters["mrope_section"] = rope.mrope_section;
    if (rope.mrope_interleaved) parameters["mrope_interleaved"] = true;
    if (rope.rotary_width != head_dim) {
      json["partial_rotary_factor"] = static_cast<double>(rope.rotary_width) / static_cast<double>(head_dim);
      parameters["partial_rotary_factor"] = json["partial_rotary_factor"];
    }
    json["rope_theta"] = rope.theta;
    json["rope_parameters"] = parameters;
  }
  for (const DecoderFamily& family : decoder_families()) {
    if (family.model_type == model_type) family.write(*this, json);
  }
  return json;
}

}  // namespace ocelli::language
