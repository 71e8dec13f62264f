#include "ocelli/language/decoder_config.h"

#include <cmath>
#include <optional>

#include "ocelli/language/decoder_families.h"

namespace ocelli::language {
namespace {

constexpr int64_t kWidest = 1 << 17;

std::vector<double> factors(const JsonView& rope, std::string_view key, int64_t count) {
  std::vector<double> values = rope.numbers(key);
  require(static_cast<int64_t>(values.size()) == count, "{}.{} has {} numbers, expected {}", rope.path(), key, values.size(),
          count);
  for (const double value : values) require(value > 0, "{}.{} has {}, expected positive numbers", rope.path(), key, value);
  return values;
}

/// The table of the rotary positions; when both names are there, the older one goes first, as in transformers.
std::optional<JsonView> rope_table(const JsonView& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key)) continue;
    const JsonView table = config.object(key);
    if (table.value().empty()) continue;
    for (const char* nested : {"full_attention", "sliding_attention"}) {
      require(!table.has(nested), "{}.{}: rotary positions by kind of layer are not known here", table.path(), nested);
    }
    return table;
  }
  return std::nullopt;
}

void read_scaling(const JsonView& config, const JsonView& given, DecoderConfig& out) {
  using Scaling = nn::RopeConfig::Scaling;
  nn::RopeConfig& rope = out.rope;
  const std::string type = given.string("rope_type", given.string("type", "default"));
  if (given.has("mrope_section")) {
    rope.mrope_section = given.integers("mrope_section");
    rope.mrope_interleaved = given.boolean("mrope_interleaved", false);
    int64_t covered = 0;
    for (const int64_t count : rope.mrope_section) {
      require(count >= 0 && count <= rope.rotary_width, "{}.mrope_section has {}, expected 0 to {}", given.path(), count,
              rope.rotary_width);
      covered += count;
    }
    require(rope.mrope_section.size() == 3 && covered == rope.rotary_width / 2,
            "{}.mrope_section has {} numbers, {} in all; expected 3 that make {}", given.path(), rope.mrope_section.size(),
            covered, rope.rotary_width / 2);
  }
  if (type == "default" || type == "mrope") return;
  rope.factor = given.number("factor", 1.0);
  // A key of the whole config goes before one of the table, as transformers has it for Phi-3.
  const int64_t inner = given.integer_in("original_max_position_embeddings", 2, 1 << 24, out.max_position_embeddings);
  const int64_t own = rope.original_length > 0 ? rope.original_length : inner;
  rope.original_length = config.integer_in("original_max_position_embeddings", 2, 1 << 24, own);
  if (type == "linear") {
    rope.scaling = Scaling::kLinear;
  } else if (type == "dynamic") {
    rope.scaling = Scaling::kDynamic;
    rope.original_length = out.max_position_embeddings;
    require(rope.factor >= 1, "{}.factor is {}, expected at least 1", given.path(), rope.factor);
    require(rope.rotary_width > 2, "{}: dynamic scaling needs more than 2 rotated numbers of a head", given.path());
  } else if (type == "llama3") {
    rope.scaling = Scaling::kLlama3;
    rope.low_frequency_factor = given.number("low_freq_factor");
    rope.high_frequency_factor = given.number("high_freq_factor");
    require(rope.low_frequency_factor > 0 && rope.high_frequency_factor > rope.low_frequency_factor,
            "{}: low_freq_factor {} and high_freq_factor {}, expected positive and rising", given.path(),
            rope.low_frequency_factor, rope.high_frequency_factor);
  } else if (type == "longrope" || type == "su") {
    rope.scaling = Scaling::kLongRope;
    rope.short_factor = factors(given, "short_factor", rope.rotary_width / 2);
    rope.long_factor = factors(given, "long_factor", rope.rotary_width / 2);
    const double lengths = static_cast<double>(out.max_position_embeddings) / static_cast<double>(rope.original_length);
    rope.attention_factor =
        given.number("attention_factor", longrope_attention_factor(given.number("factor", lengths), rope.original_length));
  } else {
    fail("{}.rope_type is \"{}\"; known are default, linear, dynamic, llama3, longrope, mrope", given.path(), type);
  }
}

/// What contradicts itself whatever the family.
void check(const JsonView& config, const DecoderConfig& out) {
  require(out.norm_eps > 0 && out.norm_eps < 1, "{}: the norms' epsilon is {}, expected more than 0 and less than 1",
          config.path(), out.norm_eps);
  require(out.embedding_scale != 0 && out.residual_scale != 0 && out.logits_divisor != 0,
          "{}: embeddings are multiplied by {}, branches by {}, logits divided by {}; none may be 0", config.path(),
          out.embedding_scale, out.residual_scale, out.logits_divisor);
  require(!out.tie_word_embeddings || !out.head_bias, "{}.tie_word_embeddings is true, but the head has a bias", config.path());
}

}  // namespace

void read_sizes(const JsonView& config, DecoderConfig& out) {
  out.vocab_size = config.integer_in("vocab_size", 1, 1 << 21, out.vocab_size);
  out.hidden_size = config.integer_in("hidden_size", 1, kWidest, out.hidden_size);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest, out.intermediate_size);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 1, 1024, out.num_hidden_layers);
  out.num_attention_heads = config.integer_in("num_attention_heads", 1, kWidest, out.num_attention_heads);
  // Absent is the family's default, null is as many as there are query heads.
  const bool null_heads = config.value().contains("num_key_value_heads") && !config.has("num_key_value_heads");
  const int64_t key_heads = out.num_key_value_heads > 0 && !null_heads ? out.num_key_value_heads : out.num_attention_heads;
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

double longrope_attention_factor(double ratio, int64_t original_length) {
  return ratio <= 1 ? 1.0 : std::sqrt(1 + std::log(ratio) / std::log(static_cast<double>(original_length)));
}

void read_rope(const JsonView& config, DecoderConfig& out, double rotary_fraction) {
  nn::RopeConfig& rope = out.rope;
  rope.theta = config.number("rope_theta", rope.theta);
  rotary_fraction = config.number("partial_rotary_factor", rotary_fraction);
  const std::optional<JsonView> given = rope_table(config);
  if (given) {
    rope.theta = given->number("rope_theta", rope.theta);
    rotary_fraction = given->number("partial_rotary_factor", rotary_fraction);
  }
  rope.rotary_width = static_cast<int64_t>(static_cast<double>(out.head_dim) * rotary_fraction);
  require(rotary_fraction > 0 && rotary_fraction <= 1 && rope.rotary_width >= 2 && rope.rotary_width % 2 == 0,
          "{}: partial_rotary_factor {} rotates {} of the {} numbers of a head, expected an even number of 2 to {}",
          config.path(), rotary_fraction, rope.rotary_width, out.head_dim, out.head_dim);
  if (given) read_scaling(config, *given, out);
  require(rope.theta > 0 && rope.factor > 0, "{}: rope_theta {} and factor {} must be positive", config.path(), rope.theta,
          rope.factor);
}

void read_special_tokens(const JsonView& config, DecoderConfig& out) {
  out.bos_token_id = config.integer_in("bos_token_id", 0, out.vocab_size - 1, out.bos_token_id);
  if (!config.has("eos_token_id")) return;
  out.eos_token_ids.clear();
  if (config.value()["eos_token_id"].is_array()) {
    out.eos_token_ids = config.integers("eos_token_id");
  } else {
    out.eos_token_ids.push_back(config.integer("eos_token_id"));
  }
}

DecoderConfig DecoderConfig::from_json(const JsonView& config) {
  const std::string type = config.string("model_type");
  if (const DecoderFamily* family = find_decoder_family(type)) {
    DecoderConfig out;
    out.model_type = type;
    family->read(config, out);
    check(config, out);
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
  // Null where there is none: an absent key means the family's default.
  json["bos_token_id"] = bos_token_id >= 0 ? Json(bos_token_id) : Json(nullptr);
  json["eos_token_id"] = nullptr;
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
      if (rope.scaling != nn::RopeConfig::Scaling::kLongRope) parameters["factor"] = rope.factor;
      if (rope.scaling != nn::RopeConfig::Scaling::kLinear && rope.scaling != nn::RopeConfig::Scaling::kDynamic) {
        parameters["original_max_position_embeddings"] = rope.original_length;
      }
    }
    if (!rope.mrope_section.empty()) parameters["mrope_section"] = rope.mrope_section;
    if (rope.mrope_interleaved) parameters["mrope_interleaved"] = true;
    if (rope.rotary_width != head_dim) {
      double fraction = static_cast<double>(rope.rotary_width) / static_cast<double>(head_dim);
      // Readers cut the product with head_dim down to an integer.
      if (static_cast<int64_t>(fraction * static_cast<double>(head_dim)) < rope.rotary_width)
        fraction = std::nextafter(fraction, 1.0);
      json["partial_rotary_factor"] = fraction;
      parameters["partial_rotary_factor"] = json["partial_rotary_factor"];
    }
    json["rope_theta"] = rope.theta;
    json["rope_parameters"] = parameters;
    if (parameters["rope_type"] != "default") {
      json["rope_scaling"] = parameters;  // the name before version 5
      json["rope_scaling"].erase("rope_theta");
    }
  }
  if (const DecoderFamily* family = find_decoder_family(model_type)) family->write(*this, json);
  return json;
}

}  // namespace ocelli::language
