#pragma once

#include <string>

#include "ocelli/base/json.h"
#include "ocelli/model/model_config.h"
#include "ocelli/model/processor.h"

namespace ocelli::test {

/// The text part of the tiny configs.
inline Json tiny_text(bool tied = false) {
  return {{"model_type", "llama"},   {"vocab_size", 60},         {"hidden_size", 32},           {"intermediate_size", 48},
          {"num_hidden_layers", 2},  {"num_attention_heads", 4}, {"num_key_value_heads", 2},    {"rms_norm_eps", 1e-5},
          {"eos_token_id", 2},       {"bos_token_id", 1},        {"tie_word_embeddings", tied}, {"rope_theta", 5000.0},
          {"attention_bias", false}, {"hidden_act", "silu"}};
}

inline Json tiny_vision(const std::string& type) {
  Json vision = {{"model_type", type},       {"hidden_size", 16}, {"intermediate_size", 24}, {"num_hidden_layers", 2},
                 {"num_attention_heads", 2}, {"image_size", 16},  {"patch_size", 4}};
  if (type == "ocelli_vision") {
    vision["stem_channels"] = {8, 16};
    vision["stem_strides"] = {2, 2};
  }
  return vision;
}

/// "llava" (CLIP tower, MLP), "ocelli" (stem, pixel shuffle) or "llama".
inline Json tiny_config(const std::string& type, bool tied = false) {
  if (type == "llama") return tiny_text(tied);
  Json config = {{"model_type", type}, {"text_config", tiny_text(tied)}, {"image_token_id", 5}};
  if (type == "llava") {
    config["vision_config"] = tiny_vision("clip_vision_model");
    config["vision_feature_layer"] = -2;
  } else {
    config["vision_config"] = tiny_vision("ocelli_vision");
    config["connector_config"] = {{"type", "pixel_shuffle"}, {"scale", 2}};
  }
  return config;
}

inline model::ModelConfig config_from(const Json& json) {
  return model::ModelConfig::from_json(JsonView(json, "config.json"));
}

/// Random pixels for a tower of 16 x 16.
inline model::PixelTiles random_picture(uint64_t seed, int64_t side = 16) {
  model::PixelTiles picture;
  picture.tiling.tile_height = picture.tiling.tile_width = side;
  picture.pixels.resize(static_cast<size_t>(3 * side * side));
  Rng(seed).fill_normal(picture.pixels.data(), static_cast<int64_t>(picture.pixels.size()), 1);
  return picture;
}

/// A processor without a tokenizer for the tiny configs.
inline std::shared_ptr<const model::Processor> tiny_processor() {
  model::Processor::Parts parts;
  parts.placeholder.token_id = 5;
  parts.images.height = parts.images.width = parts.images.size = 16;
  return std::make_shared<const model::Processor>(std::move(parts));
}

}  // namespace ocelli::test
