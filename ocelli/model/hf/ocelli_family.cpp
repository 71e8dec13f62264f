#include "ocelli/base/error.h"
#include "ocelli/model/hf/blip2_parts.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

bool matches(const JsonView& config) {
  return config.string("model_type", "") == "ocelli";
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
    out.connector = connector::ConnectorConfig::from_json(config.object("connector_config"), out.vision->feature_width(),
                                                          out.decoder.hidden_size);
    if (config.has("placeholder")) {
      const JsonView rule = config.object("placeholder");
      out.placeholder.front = rule.boolean("front", false);
      out.placeholder.marker = rule.string("marker", "");
      out.placeholder.bos_twice = rule.boolean("bos_twice", false);
    }
    // A mark that stands for a picture in text alone has an id outside every vocabulary.
    out.placeholder.token_id =
        config.integer_in("image_token_id", out.placeholder.marker.empty() ? 0 : -(1 << 20), out.decoder.vocab_size - 1);
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
  const PlaceholderRule& rule = config.placeholder;
  if (rule.front || rule.bos_twice || !rule.marker.empty()) {
    json["placeholder"] = {{"front", rule.front}, {"bos_twice", rule.bos_twice}, {"marker", rule.marker}};
  }
  json["vision_feature_layer"] = config.vision->feature_layers;
  json["vision_feature_select_strategy"] = config.vision->keep_class_token ? "full" : "default";
  json["connector_config"] = config.connector->to_json();
  return json;
}

}  // namespace

Family ocelli_family() {
  return {"ocelli", matches, read, names, write};
}

}  // namespace ocelli::model::hf
