#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "ocelli/base/cost.h"
#include "ocelli/connector/arrange.h"
#include "ocelli/connector/connector.h"
#include "ocelli/language/decoder.h"
#include "ocelli/model/model_config.h"
#include "ocelli/vision/vision_tower.h"

namespace ocelli::model {

/// What goes into a model: rows of any number of sequences laid end to end, and all their pictures.
struct ModelInputs {
  at::Tensor pixel_values;  ///< [N, 3, height, width], normalised, all tiles of all pictures; undefined without pictures
  std::vector<image::Tiling> pictures;  ///< how each picture is cut; their tiles add up to N
  at::Tensor input_ids;                 ///< [T] int64; each visual token stands as the placeholder's id
  at::Tensor positions;                 ///< [T] int64
  at::Tensor visual_rows;               ///< [Q] int64, rising: the rows of visual tokens
  nn::AttentionLayout layout;
  at::Tensor output_rows;  ///< rows whose hidden state is wanted; undefined: all
};

/// Vision tower, connector and decoder.
class Model final : public nn::Module {
 public:
  explicit Model(const ModelConfig& config);

  const ModelConfig& config() const { return config_; }
  bool has_pictures() const { return vision_tower_ != nullptr; }

  /// The tower's features of every tile.
  nn::VisualFeatures features(const at::Tensor& pixel_values, nn::RunContext& context);
  /// All pictures' tokens as put into the decoder.
  connector::VisualTokens visual_tokens(const at::Tensor& pixel_values, std::span<const image::Tiling> pictures,
                                        nn::RunContext& context);
  /// Embeddings [T, D]: text rows from the table, visual rows from `visual` [Q, D] (undefined: no pictures).
  at::Tensor embed(const at::Tensor& input_ids, const at::Tensor& visual_rows, const at::Tensor& visual);
  /// Final-normed hidden states of the wanted rows, [R, D].
  at::Tensor forward(const ModelInputs& inputs, nn::RunContext& context);
  at::Tensor head(const at::Tensor& hidden) const { return language_model_->head(hidden); }
  language::Decoder& decoder() { return *language_model_; }

  /// Visual tokens of one picture cut that way. From the config alone.
  int64_t num_tokens(const image::Tiling& tiling) const;
  /// Cost by part: vision_tower, connector, embedding, decoder, head. From the config alone. `work.visual_tokens` of 0 with tiles
  /// given is counted from them.
  Ledger cost(Workload work) const;

 private:
  ModelConfig config_;
  std::shared_ptr<vision::VisionTower> vision_tower_;
  std::shared_ptr<connector::Connector> connector_;
  std::shared_ptr<language::Decoder> language_model_;
};

/// The part a parameter belongs to, by its full name: "vision", "connector" or "decoder".
std::string_view part_of(std::string_view parameter_name);

/// Casts parameters (running statistics stay fp32) into storage of their own: the only cast there is.
void set_precision(Model& model, at::ScalarType dtype);

}  // namespace ocelli::model
