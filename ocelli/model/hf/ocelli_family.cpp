#include "ocelli/base/error.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

bool matches(const JsonView& config) {
  return config.string("model_type", "") == "ocelli";
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(config.object("text_config"));
  if (config.has("vision_config")) {
    out.vision = vision::VisionConfig::from_json(config.object("vision_config"));
    out.vision->feature_layers = feature_layers(config, -1);
    out.vision->layers_needed();  // names a layer that does not exist
    out.vision->keep_class_token = config.string("vision_feature_select_strategy", "default") == "full";
    out.connector = connector::ConnectorConfig::from_json(config.object("connector_config"), out.vision->feature_width(),
                                                          out.decoder.hidden_size);
    out.placeholder.token_id = config.integer_in("image_token_id", 0, out.decoder.vocab_size - 1);
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
  json["text_config"] = config.decoder.to_json();
  json["tie_word_embeddings"] = config.decoder.tie_word_embeddings;
  if (!config.vision) return json;
  json["vision_config"] = config.vision->to_json();
  json["image_token_id"] = config.placeholder.token_id;
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
