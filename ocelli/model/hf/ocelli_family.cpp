#include <algorithm>
#include <string_view>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/base/named_values.h"
#include "ocelli/model/hf/blip2_parts.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

bool matches(const JsonView& config) {
  return config.string("model_type", "") == "ocelli";
}

using connector::ArrangeConfig;
using Kind = PlaceholderRule::Kind;

constexpr std::pair<std::string_view, Kind> kPlaces[] = {
    {"token", Kind::kToken}, {"span", Kind::kSpan}, {"after_bos", Kind::kAfterBos}};
constexpr std::pair<std::string_view, PositionRule> kPositions[] = {
    {"rising", PositionRule::kRising}, {"shared_patch", PositionRule::kSharedPatch}, {"mrope", PositionRule::kMrope}};
constexpr std::pair<std::string_view, image::Unpad> kUnpads[] = {{"truncate", image::Unpad::kTruncate},
                                                                 {"round", image::Unpad::kRounded}};

/// An id that may stand for nothing: -1.
int64_t optional_id(const JsonView& config, std::string_view key, int64_t vocabulary) {
  return config.integer_in(key, -1, vocabulary - 1, -1);
}

void read_placeholder(const JsonView& config, int64_t vocabulary, PlaceholderRule& rule) {
  rule.kind = named_value(config, "kind", kPlaces, Kind::kToken);
  rule.front = config.boolean("front", false);
  rule.marker = config.string("marker", "");
  rule.bos_twice = config.boolean("bos_twice", false);
  rule.tile_markers = config.boolean("tile_markers", false);
  rule.begin_id = optional_id(config, "begin_id", vocabulary);
  rule.end_id = optional_id(config, "end_id", vocabulary);
  rule.slice_begin_id = optional_id(config, "slice_begin_id", vocabulary);
  rule.slice_end_id = optional_id(config, "slice_end_id", vocabulary);
  rule.newline_id = config.integer_in("newline_id", 0, vocabulary - 1, std::min<int64_t>(rule.newline_id, vocabulary - 1));
  require(rule.kind != Kind::kSpan || (rule.begin_id >= 0 && rule.end_id >= 0),
          "{}: begin_id is {} and end_id {}; a span of visual tokens has both", config.path(), rule.begin_id, rule.end_id);
}

Json placeholder_json(const PlaceholderRule& rule) {
  Json json = {{"kind", name_of(rule.kind, kPlaces)}};
  if (rule.front) json["front"] = true;
  if (!rule.marker.empty() || rule.token_id < -1) json["marker"] = rule.marker.empty() ? "<image>" : rule.marker;
  if (rule.bos_twice) json["bos_twice"] = true;
  if (rule.tile_markers) json["tile_markers"] = true;
  if (rule.begin_id >= 0) json["begin_id"] = rule.begin_id;
  if (rule.end_id >= 0) json["end_id"] = rule.end_id;
  if (rule.slice_begin_id >= 0) {
    json["slice_begin_id"] = rule.slice_begin_id;
    json["slice_end_id"] = rule.slice_end_id;
    json["newline_id"] = rule.newline_id;
  }
  return json;
}

/// How views are joined and where rows stand.
void read_rows(const JsonView& config, ModelConfig& out) {
  if (config.has("arrange")) {
    const JsonView arrange = config.object("arrange");
    const std::string kind = arrange.string("kind");
    require(kind == "concat" || kind == "unpad_newline", "{}.kind is \"{}\"; known are concat, unpad_newline", arrange.path(),
            kind);
    out.arrange.kind = kind == "concat" ? ArrangeConfig::Kind::kConcat : ArrangeConfig::Kind::kUnpadNewline;
    out.arrange.unpad = named_value(arrange, "unpad", kUnpads, image::Unpad::kTruncate);
    out.arrange.max_tiles = arrange.integer_in("max_tiles", 0, 1024, 0);
  }
  out.positions = named_value(config, "position_rule", kPositions, PositionRule::kRising);
  out.bidirectional_prompt = config.boolean("bidirectional_prompt", false);
  out.visual_scale = config.number("visual_scale", 1.0);
  if (!config.has("location")) return;
  const JsonView location = config.object("location");
  const int64_t last = out.decoder.vocab_size - 1;
  out.location = {.inner_width = location.integer_in("inner_width", 1, 1 << 16),
                  .location_id = location.integer_in("location_id", 0, last),
                  .box_id = location.integer_in("box_id", 0, last)};
}

void write_rows(const ModelConfig& config, Json& json) {
  if (config.arrange.kind != ArrangeConfig::Kind::kConcat) {
    json["arrange"] = {
        {"kind", "unpad_newline"}, {"unpad", name_of(config.arrange.unpad, kUnpads)}, {"max_tiles", config.arrange.max_tiles}};
  }
  if (config.positions != PositionRule::kRising) json["position_rule"] = name_of(config.positions, kPositions);
  if (config.bidirectional_prompt) json["bidirectional_prompt"] = true;
  if (config.visual_scale != 1) json["visual_scale"] = config.visual_scale;
  if (!config.location) return;
  json["location"] = {{"inner_width", config.location->inner_width},
                      {"location_id", config.location->location_id},
                      {"box_id", config.location->box_id}};
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  ModelConfig out;
  const JsonView text = config.object("text_config");
  if (text.string("model_type", "") == "t5") {
    set_encoder_decoder(out, language::EncoderDecoderConfig::from_json(text));
  } else {
    out.decoder = language::DecoderConfig::from_json(text);
  }
  if (config.has("vision_config")) {
    out.vision = vision::VisionConfig::from_json(config.object("vision_config"));
    out.vision->feature_layers = feature_layers(config, -1);
    out.vision->layers_needed();  // names a layer that does not exist
    out.vision->keep_class_token = config.string("vision_feature_select_strategy", "default") == "full";
    if (config.has("aux_vision_config")) {
      out.aux_vision = vision::VisionConfig::from_json(config.object("aux_vision_config"));
      if (config.has("aux_vision_feature_layer")) out.aux_vision->feature_layers = config.integers("aux_vision_feature_layer");
      out.aux_vision->layers_needed();
    }
    out.connector =
        connector::ConnectorConfig::from_json(config.object("connector_config"), out.vision->feature_width(),
                                              out.decoder.hidden_size, out.aux_vision ? out.aux_vision->feature_width() : 0);
    read_rows(config, out);
    if (config.has("placeholder")) read_placeholder(config.object("placeholder"), out.decoder.vocab_size, out.placeholder);
    // A mark that stands for a picture in text alone has an id outside every vocabulary.
    out.placeholder.token_id =
        config.integer_in("image_token_id", out.placeholder.marker.empty() ? 0 : -(1 << 20), out.decoder.vocab_size - 1);
    require(out.placeholder.token_id != -1, "{}.image_token_id is -1, which says that a model sees no pictures", config.path());
  }
  read_special_tokens(config, out);
  return out;
}

NameMap names(const ModelConfig&) {
  NameMap names;
  names.add({"**", {"**"}});
  return names;
}

Json write(const ModelConfig& config) {
  Json json = {{"model_type", "ocelli"}, {"architectures", {"OcelliForConditionalGeneration"}}};
  json["text_config"] = config.encoder_decoder ? config.encoder_decoder->to_json() : config.decoder.to_json();
  json["tie_word_embeddings"] = config.decoder.tie_word_embeddings;
  if (!config.vision) return json;
  json["vision_config"] = config.vision->to_json();
  json["image_token_id"] = config.placeholder.token_id;
  if (const Json rule = placeholder_json(config.placeholder); rule != placeholder_json({})) json["placeholder"] = rule;
  json["vision_feature_layer"] = config.vision->feature_layers;
  json["vision_feature_select_strategy"] = config.vision->keep_class_token ? "full" : "default";
  if (config.aux_vision) {
    json["aux_vision_config"] = config.aux_vision->to_json();
    json["aux_vision_feature_layer"] = config.aux_vision->feature_layers;
  }
  json["connector_config"] = config.connector->to_json();
  write_rows(config, json);
  return json;
}

}  // namespace

Family ocelli_family() {
  return {"ocelli", matches, read, names, write};
}

}  // namespace ocelli::model::hf
