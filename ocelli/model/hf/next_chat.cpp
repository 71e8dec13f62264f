#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/model/hf/family_list.h"
#include "ocelli/model/load.h"

namespace ocelli::model::hf {
namespace {

/// Ids the original adds behind Llama's vocabulary, in this order.
enum AddedToken { kPatch, kStart, kEnd, kAt, kBoxes, kAddedTokens };

bool matches(const JsonView& config) {
  return config.string("model_type", "") == "nextchat";
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  ModelConfig out;
  Json text = config.value();
  text["model_type"] = "llama";
  out.decoder = language::DecoderConfig::from_json(JsonView(text, config.path()));
  const std::filesystem::path folder = named_folder(source, "mm_vision_tower");
  out.vision = named_tower(source, folder);
  const int64_t depth = config.integer_in("mm_depth", 1, 2, 1);
  out.connector.emplace();
  out.connector->type = depth == 1 ? connector::ConnectorConfig::Type::kLinear : connector::ConnectorConfig::Type::kMlp;
  out.connector->set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  out.images.emplace();
  out.images->shape = ImageProcessor::Shape::kPad;
  out.images->pad_colour = {255, 255, 255};
  out.images->size = out.images->height = out.images->width = out.vision->image_size;
  out.images->mean = kClipMean;
  out.images->std = kClipStd;
  out.images->decode = image::DecodeOptions::pillow();
  const int64_t first = out.decoder.vocab_size - kAddedTokens;
  require(first > 0, "{}.vocab_size is {}; the last {} ids are the picture's and the boxes' tokens", config.path(),
          out.decoder.vocab_size, static_cast<int>(kAddedTokens));
  out.placeholder.token_id = first + kPatch;
  out.location.emplace();
  out.location->inner_width = source.has_weights() ? source.shape("loc_encoder.0.weight").at(0) : out.decoder.hidden_size / 2;
  out.location->location_id = first + kAt;
  out.location->box_id = first + kBoxes;
  read_special_tokens(config, out);
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  names.add({"model.vision_tower.vision_model.embeddings.position_ids", {}, Transform::kIgnore});
  names.add({"model.vision_tower.vision_model.**", {"vision_tower.**"}});
  if (config.connector->type == connector::ConnectorConfig::Type::kLinear) {
    names.add({"model.mm_projector.**", {"multi_modal_projector.linear_1.**"}});
  } else {
    names.add({"model.mm_projector.0.**", {"multi_modal_projector.linear_1.**"}});
    names.add({"model.mm_projector.2.**", {"multi_modal_projector.linear_2.**"}});
  }
  names.add({"loc_encoder.**", {"location.encoder.**"}});
  names.add({"loc_decoder.**", {"location.decoder.**"}});
  // Masks: SAM and its prompts.
  names.add({"seg_prompt_mlp.**", {}, Transform::kIgnore});
  names.add({"sam.**", {}, Transform::kIgnore});
  names.add(decoder_names(config.decoder), "", "language_model.");
  return names;
}

}  // namespace

Family next_chat() {
  return {"next_chat", matches, read, names, nullptr};
}

}  // namespace ocelli::model::hf
