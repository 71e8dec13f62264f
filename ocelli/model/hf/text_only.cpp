#include "ocelli/language/decoder_families.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

bool matches(const JsonView& config) {
  const std::string type = config.string("model_type", "");
  for (const language::DecoderFamily& family : language::decoder_families()) {
    if (family.model_type == type) return true;
  }
  return false;
}

ModelConfig read(const Source& source) {
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(source.config());
  read_special_tokens(source.config(), out);
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  names.add(decoder_names(config.decoder), "", "language_model.");
  // A model with pictures read for its decoder alone.
  names.add(decoder_body_names(config.decoder), "model.language_model.", "language_model.");
  names.add(decoder_names(config.decoder), "language_model.", "language_model.");
  return names;
}

Json write(const ModelConfig& config) {
  Json json = config.decoder.to_json();
  json["architectures"] = {language::architecture_of(config.decoder)};
  return json;
}

}  // namespace

Family text_only() {
  return {"text", matches, read, names, write};
}

}  // namespace ocelli::model::hf
