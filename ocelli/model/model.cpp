#include "ocelli/model/model.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::model {

Model::Model(const ModelConfig& config) : config_(config) {
  if (config.vision) {
    vision_tower_ = register_module("vision_tower", vision::make_vision_tower(*config.vision));
    connector_ = register_module("multi_modal_projector", connector::make_connector(*config.connector));
  }
  language_model_ = register_module("language_model", std::make_shared<language::Decoder>(config.decoder));
}

nn::VisualFeatures Model::features(const at::Tensor& pixel_values, nn::RunContext& context) {
  require(has_pictures(), "model: it has no vision tower, but pictures were given");
  return vision_tower_->forward(pixel_values, context);
}

connector::VisualTokens Model::visual_tokens(const at::Tensor& pixel_values, std::span<const image::Tiling> pictures,
                                             nn::RunContext& context) {
  const at::Tensor tokens = connector_->forward(features(pixel_values, context), {context});
  if (context.observe) context.observe("multi_modal_projector", tokens);
  return connector::arrange_tiles(tokens, pictures);
}

at::Tensor Model::embed(const at::Tensor& input_ids, const at::Tensor& visual_rows, const at::Tensor& visual) {
  const at::Tensor text = language_model_->embed(input_ids);
  if (!visual.defined() || visual.size(0) == 0) {
    require(!visual_rows.defined() || visual_rows.numel() == 0,
            "model: {} placeholders stand in the text, but no pictures were given", visual_rows.numel());
    return text;
  }
  require(visual_rows.defined() && visual_rows.numel() == visual.size(0),
          "model: the text has {} placeholders for {} visual tokens", visual_rows.defined() ? visual_rows.numel() : 0,
          visual.size(0));
  return text.index_copy(0, visual_rows, visual.to(text.scalar_type()));
}

at::Tensor Model::forward(const ModelInputs& inputs, nn::RunContext& context) {
  at::Tensor visual;
  if (inputs.pixel_values.defined()) visual = visual_tokens(inputs.pixel_values, inputs.pictures, context).tokens;
  language::DecoderInputs decoder_inputs;
  decoder_inputs.embeds = embed(inputs.input_ids, inputs.visual_rows, visual);
  decoder_inputs.positions = inputs.positions;
  decoder_inputs.layout = inputs.layout;
  decoder_inputs.output_rows = inputs.output_rows;
  return language_model_->forward(decoder_inputs, context);
}

int64_t Model::num_tokens(const image::Tiling& tiling) const {
  require(has_pictures(), "model: it has no vision tower, but pictures were given");
  const image::Grid grid = vision_tower_->grid(tiling.tile_height, tiling.tile_width);
  const bool class_row = config_.vision->class_embedding && config_.vision->keep_class_token;
  return tiling.count() * (connector_->num_tokens(grid) + (class_row ? 1 : 0));
}

Ledger Model::cost(Workload work) const {
  Ledger ledger;
  if (has_pictures()) {
    ledger.add("vision_tower", vision_tower_->cost(work));
    Cost connector;
    int64_t tokens = 0;
    for (const auto& [height, width] : work.tiles) {
      const Cost tile = connector_->cost(vision_tower_->grid(height, width), work.batch, work);
      const int64_t parameters = tile.parameters;
      connector += tile;
      connector.parameters = parameters;
      tokens += num_tokens({.tile_height = height, .tile_width = width});
    }
    if (work.tiles.empty()) connector.parameters = nn::count_parameters(*connector_);
    if (work.visual_tokens == 0) work.visual_tokens = tokens;
    ledger.add("connector", connector);
  }
  ledger.add("embedding", language_model_->embedding_cost(work));
  ledger.add("decoder", language_model_->cost(work));
  ledger.add("head", language_model_->head_cost(work));
  return ledger;
}

std::string_view part_of(std::string_view parameter_name) {
  if (parameter_name.starts_with("vision_tower.")) return "vision";
  if (parameter_name.starts_with("multi_modal_projector.")) return "connector";
  return "decoder";
}

void set_precision(Model& model, at::ScalarType dtype) {
  nn::for_each_parameter(model, [&](const std::string&, const nn::Parameter& parameter) {
    if (parameter.buffer || parameter.tensor.scalar_type() == dtype) return;
    at::Tensor target = parameter.tensor;
    target.set_data(parameter.tensor.detach().to(dtype));
  });
}

}  // namespace ocelli::model
