#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ocelli/base/json.h"
#include "ocelli/connector/connector.h"
#include "ocelli/language/decoder_config.h"
#include "ocelli/vision/vision_config.h"

namespace ocelli::model {

/// A whole model by its `config.json`: transformers' `llava` and `llama`, or `ocelli` with the parts spelled out.
struct ModelConfig {
  std::string model_type = "ocelli";
  std::optional<vision::VisionConfig> vision;  ///< none: text alone
  std::optional<connector::ConnectorConfig> connector;
  language::DecoderConfig decoder;
  int64_t image_token_id = -1;  ///< placeholder of visual tokens, -1 without pictures
  int64_t bos_token_id = -1;
  std::vector<int64_t> eos_token_ids;

  static ModelConfig from_json(const JsonView& config);
  static ModelConfig load(const std::filesystem::path& folder);
  /// What `from_json` reads back. A model that transformers' LlavaForConditionalGeneration can express is written as `llava`.
  Json to_json() const;
};

}  // namespace ocelli::model
