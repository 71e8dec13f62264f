#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ocelli/base/json.h"
#include "ocelli/connector/arrange.h"
#include "ocelli/connector/connector.h"
#include "ocelli/language/decoder_config.h"
#include "ocelli/language/encoder_decoder_config.h"
#include "ocelli/model/image_processor.h"
#include "ocelli/model/placement.h"
#include "ocelli/vision/vision_config.h"

namespace ocelli::model {

/// Boxes as embeddings (NExT-Chat): the id behind which a box is asked for, and the id whose row is a box.
struct LocationConfig {
  int64_t inner_width = 0;  ///< of grounding::LocationCodec
  int64_t location_id = -1;
  int64_t box_id = -1;
};

/// A whole model by its `config.json`. Families are listed in hf/families.cpp; `ocelli` has the parts spelled out.
struct ModelConfig {
  /// The family the folder was read as and is written as; "ocelli" when no other can say it.
  std::string family = "ocelli";
  std::optional<vision::VisionConfig> vision;      ///< none: text alone
  std::optional<vision::VisionConfig> aux_vision;  ///< a second tower: its maps go to the connector, or are the decoder's memory
  std::optional<connector::ConnectorConfig> connector;
  connector::ArrangeConfig arrange;
  language::DecoderConfig decoder;
  /// A T5 in the decoder's place; `decoder` then repeats the sizes that caches, vocabularies and connectors ask for.
  std::optional<language::EncoderDecoderConfig> encoder_decoder;
  double adapter_scale = 0;  ///< lora_alpha / r of published adapters, which are merged into the weights on loading; 0: none
  PlaceholderRule placeholder;
  PositionRule positions = PositionRule::kRising;
  /// Rows of a prompt see each other both ways; those of the answer what stands before them (PaliGemma).
  bool bidirectional_prompt = false;
  double visual_scale = 1;                 ///< visual tokens times this when they are put in
  std::optional<LocationConfig> location;  ///< none: no boxes as embeddings
  std::optional<ImageProcessor> images;    ///< preprocessing the family fixes; a folder's own preprocessor_config.json goes first
  std::string chat_template;               ///< the family's, for folders that hold none
  std::filesystem::path vision_folder;     ///< the tower's weights, when they lie apart (Yi-VL); empty: with the rest
  int64_t bos_token_id = -1;
  std::vector<int64_t> eos_token_ids;

  int64_t image_token_id() const { return placeholder.token_id; }

  /// Reads config.json's object. Families whose config is silent about sizes need `load`.
  static ModelConfig from_json(const JsonView& config);
  static ModelConfig load(const std::filesystem::path& folder);
  /// What `from_json` reads back: the family's own layout where it can say all of it, else `ocelli`.
  Json to_json() const;
  /// The family to_json() and the weights are written as.
  std::string written_family() const;
};

}  // namespace ocelli::model
