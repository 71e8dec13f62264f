#include "ocelli/model/model.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::model {

Model::Model(const ModelConfig& config) : config_(config) {
  if (config.vision) {
    vision_tower_ = register_module("vision_tower", vision::make_vision_tower(*config.vision));
    if (config.aux_vision) aux_tower_ = register_module("aux_tower", vision::make_vision_tower(*config.aux_vision));
    connector_ = register_module("multi_modal_projector", connector::make_connector(*config.connector));
    connector::ArrangeConfig arrange = config.arrange;
    arrange.width = config.decoder.hidden_size;
    arrange_ = register_module("arrange", std::make_shared<connector::Arrange>(arrange));
  }
  if (config.encoder_decoder) {
    encoder_decoder_ = register_module("language_model", std::make_shared<language::EncoderDecoder>(*config.encoder_decoder));
  } else {
    language_model_ = register_module("language_model", std::make_shared<language::Decoder>(config.decoder));
  }
  if (config.location) {
    location_ = register_module(
        "location", std::make_shared<grounding::LocationCodec>(config.decoder.hidden_size, config.location->inner_width));
  }
}

nn::VisualFeatures Model::features(const at::Tensor& views, nn::RunContext& context) {
  require(has_pictures(), "model: it has no vision tower, but pictures were given");
  return vision_tower_->forward(vision::normalised(*config_.vision, views), context);
}

Seen Model::see(const Pixels& pixels, std::span<const image::Tiling> pictures, nn::RunContext& context,
                const at::Tensor& instruction_ids) {
  require(has_pictures(), "model: it has no vision tower, but pictures were given");
  Seen seen;
  nn::VisualFeatures& aux = seen.aux;
  if (aux_tower_) {
    require(pixels.aux.defined(), "model: its second tower has no pixels");
    aux = aux_tower_->forward(vision::normalised(*config_.aux_vision, pixels.aux), context);
  }
  const bool to_memory = config_.decoder.cross_attention.num_heads > 0;
  std::vector<at::Tensor> views;
  std::vector<image::Grid> grids;
  for (const at::Tensor& batch : pixels.batches) {
    const nn::VisualFeatures maps = features(batch, context);
    const at::Tensor tokens = connector_->forward(
        maps, {.run = context, .aux = aux.maps.defined() && !to_memory ? &aux : nullptr, .instruction_ids = instruction_ids});
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      views.push_back(tokens.select(0, i));
      grids.push_back(connector_->token_grid(maps.grid));
    }
    seen.features.push_back(maps);
  }
  connector::VisualTokens joined = arrange_->forward(views, grids, pictures);
  seen.tokens = joined.tokens;
  seen.per_picture = std::move(joined.per_picture);
  if (to_memory && aux.maps.defined()) seen.memory = aux.maps.flatten(0, 1);
  if (context.observe) context.observe("multi_modal_projector", seen.tokens);
  return seen;
}

at::Tensor Model::embed(const at::Tensor& input_ids, const at::Tensor& visual_rows, const at::Tensor& visual) {
  const bool sees = visual_rows.defined() && visual_rows.numel() > 0;
  // A placeholder may lie outside the vocabulary; its row is overwritten.
  const at::Tensor ids = sees ? input_ids.index_fill(0, visual_rows, 0) : input_ids;
  const at::Tensor text = encodes() ? encoder_decoder_->embed(ids) : language_model_->embed(ids);
  if (!visual.defined() || visual.size(0) == 0) {
    require(!sees, "model: {} placeholders stand in the text, but no pictures were given", visual_rows.numel());
    return text;
  }
  require(sees && visual_rows.numel() == visual.size(0), "model: the text has {} placeholders for {} visual tokens",
          visual_rows.defined() ? visual_rows.numel() : 0, visual.size(0));
  const at::Tensor scaled =
      config_.visual_scale == 1 ? visual : visual * at::scalar_tensor(config_.visual_scale, visual.options());
  return text.index_copy(0, visual_rows, scaled.to(text.scalar_type()));
}

language::DecoderInputs Model::decoder_inputs(const ModelInputs& inputs, const Seen& seen) {
  language::DecoderInputs out;
  out.embeds = embed(inputs.input_ids, inputs.visual_rows, seen.tokens);
  if (inputs.boxes.defined()) {
    require(location_ != nullptr, "model: boxes were given, but this model takes none as embeddings");
    out.embeds = out.embeds.index_copy(0, inputs.box_rows, location_->encode(inputs.boxes.to(out.embeds.scalar_type())));
  }
  out.positions = inputs.positions;
  out.visual_rows = inputs.expert_rows;
  out.layout = inputs.layout;
  out.memory = seen.memory;
  out.memory_layout = inputs.memory_layout;
  out.output_rows = inputs.output_rows;
  return out;
}

std::vector<int64_t> Model::box_rows(std::span<const int64_t> ids) const {
  std::vector<int64_t> rows;
  if (!config_.location) return rows;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == config_.location->box_id) rows.push_back(static_cast<int64_t>(i));
  }
  return rows;
}

std::optional<NextRow> Model::next_row(int64_t id, const at::Tensor& hidden) const {
  if (!location_ || id != config_.location->location_id) return std::nullopt;
  const at::Tensor box = location_->decode(hidden);
  NextRow row{config_.location->box_id, location_->encode(box), {}};
  const at::Tensor numbers = box.to(at::kFloat).contiguous();
  std::copy_n(numbers.const_data_ptr<float>(), row.box.size(), row.box.begin());
  return row;
}

at::Tensor Model::forward(const ModelInputs& inputs, nn::RunContext& context) {
  Seen seen;
  if (!inputs.pixels.empty()) seen = see(inputs.pixels, inputs.pictures, context, inputs.instruction_ids);
  return decoder().forward(decoder_inputs(inputs, seen), context);
}

at::Tensor Model::head(const at::Tensor& hidden) const {
  return encodes() ? encoder_decoder_->head(hidden) : language_model_->head(hidden);
}

const at::Tensor& Model::head_weight() const {
  return encodes() ? encoder_decoder_->head_weight() : language_model_->head_weight();
}

language::Decoder& Model::decoder() {
  require(!encodes(), "model: its language model is an encoder-decoder ({}), which cannot be trained here",
          config_.decoder.model_type);
  return *language_model_;
}

at::Tensor Model::encode(const ModelInputs& inputs, const Seen& seen, nn::RunContext& context) {
  nn::AttentionLayout both_ways;
  for (nn::Span span : inputs.layout.spans()) {
    span.causal = false;
    both_ways.add(span);
  }
  return encoder_decoder_->encode(embed(inputs.input_ids, inputs.visual_rows, seen.tokens), both_ways, context);
}

at::Tensor Model::decode(const language::DecoderInputs& inputs, nn::RunContext& context) {
  return encodes() ? encoder_decoder_->forward(inputs, context) : language_model_->forward(inputs, context);
}

int64_t Model::num_tokens(const image::Tiling& tiling) const {
  require(has_pictures(), "model: it has no vision tower, but pictures were given");
  const bool class_row = config_.vision->class_embedding && config_.vision->keep_class_token && connector_->keeps_rows();
  std::vector<int64_t> tokens;
  image::Grid tile;
  for (int64_t i = 0; i < tiling.count(); ++i) {
    const image::Size size = tiling.view_size(i);
    const image::Grid grid = vision_tower_->grid(size.height, size.width);
    tokens.push_back(connector_->num_tokens(grid) + (class_row ? 1 : 0));
    if (size.height == tiling.tile_height && size.width == tiling.tile_width) tile = connector_->token_grid(grid);
  }
  return arrange_->num_tokens(tiling, tokens, tile);
}

std::vector<image::Grid> Model::token_grids(std::span<const PixelTiles> pictures) const {
  std::vector<image::Grid> grids;
  if (config_.positions != PositionRule::kMrope) return grids;
  for (const PixelTiles& picture : pictures) {
    const image::Size size = picture.tiling.view_size(0);
    grids.push_back(connector_->token_grid(vision_tower_->grid(size.height, size.width)));
  }
  return grids;
}

int64_t Model::memory_rows() const {
  if (!aux_tower_ || config_.decoder.cross_attention.num_heads == 0) return 0;
  return aux_tower_->grid(config_.aux_vision->image_size, config_.aux_vision->image_size).count();
}

Ledger Model::cost(Workload work) const {
  Ledger ledger;
  if (has_pictures()) {
    ledger.add("vision_tower", vision_tower_->cost(work));
    Cost connector;
    int64_t tokens = 0;
    for (const auto& [height, width] : work.tiles) {
      const Cost tile = connector_->cost(vision_tower_->grid(height, width), work.batch, work);
      const auto [parameters, weights] = std::pair{tile.parameters, tile.weight_bytes};
      connector += tile;
      connector.parameters = parameters;
      connector.weight_bytes = weights;
      image::Tiling one;
      one.tile_height = one.picture_height = height;
      one.tile_width = one.picture_width = width;
      tokens += num_tokens(one);
    }
    if (work.tiles.empty()) connector.parameters = nn::count_parameters(*connector_);
    if (work.visual_tokens == 0) work.visual_tokens = tokens;
    if (aux_tower_) {
      Workload aux = work;
      const int64_t side = config_.aux_vision->image_size;
      aux.tiles.assign(static_cast<size_t>(work.pictures > 0 ? work.pictures : static_cast<int64_t>(work.tiles.size())),
                       {side, side});
      ledger.add("aux_tower", aux_tower_->cost(aux));
      work.memory_rows = memory_rows() * static_cast<int64_t>(aux.tiles.size());
    }
    connector.parameters += nn::count_parameters(*arrange_);
    ledger.add("connector", connector);
  }
  if (encodes()) {
    // The prompt goes through the encoder; the decoder starts with one row.
    work.memory_rows = work.visual_tokens + work.text_tokens;
    ledger.add("embedding", encoder_decoder_->embedding_cost(work));
    ledger.add("encoder", encoder_decoder_->encoder_cost(work));
    work.visual_tokens = 0;
    work.text_tokens = 1;
    ledger.add("decoder", encoder_decoder_->cost(work));
    ledger.add("head", encoder_decoder_->head_cost(work));
    return ledger;
  }
  ledger.add("embedding", language_model_->embedding_cost(work));
  ledger.add("decoder", language_model_->cost(work));
  ledger.add("head", language_model_->head_cost(work));
  return ledger;
}

std::string_view part_of(std::string_view parameter_name) {
  if (parameter_name.starts_with("vision_tower.") || parameter_name.starts_with("aux_tower.")) return "vision";
  if (parameter_name.starts_with("multi_modal_projector.") || parameter_name.starts_with("arrange.")) return "connector";
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
