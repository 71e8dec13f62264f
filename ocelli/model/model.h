#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/cost.h"
#include "ocelli/connector/arrange.h"
#include "ocelli/connector/connector.h"
#include "ocelli/grounding/location_codec.h"
#include "ocelli/language/decoder.h"
#include "ocelli/language/encoder_decoder.h"
#include "ocelli/model/model_config.h"
#include "ocelli/model/pixels.h"
#include "ocelli/vision/vision_tower.h"

namespace ocelli::model {

/// What goes into a model: rows of any number of sequences laid end to end, and all their pictures.
struct ModelInputs {
  Pixels pixels;                        ///< all views of all pictures; empty without
  std::vector<image::Tiling> pictures;  ///< how each picture is cut
  at::Tensor input_ids;                 ///< [T] int64 as the system writes them; on visual rows the placeholder's id
  at::Tensor positions;                 ///< [T] int64, or [3, T] under M-RoPE
  at::Tensor visual_rows;               ///< [Q] int64, rising: the rows of visual tokens
  at::Tensor expert_rows;               ///< int64, rising: rows of a visual expert; empty or undefined without
  at::Tensor instruction_ids;           ///< [views, T] for a connector that reads the question; undefined without
  at::Tensor boxes;     ///< [B, 4] in [0, 1] for rows `box_rows` of a model with boxes as embeddings; undefined without
  at::Tensor box_rows;  ///< [B] int64
  nn::AttentionLayout layout;
  nn::AttentionLayout memory_layout;  ///< rows over the second tower's memory, picture after picture
  at::Tensor output_rows;             ///< rows whose hidden state is wanted; undefined: all
};

/// What the vision part makes of pictures.
struct Seen {
  at::Tensor tokens;                 ///< [Q, D] as put into the decoder, all pictures in order; undefined without pictures
  std::vector<int64_t> per_picture;  ///< adds up to Q
  std::vector<nn::VisualFeatures> features;  ///< the tower's, of each batch of views
  nn::VisualFeatures aux;                    ///< the second tower's; undefined without
  at::Tensor memory;  ///< [M, width] for the decoder's cross-attention, picture after picture; undefined without
};

/// A row the model makes itself while it answers.
struct NextRow {
  int64_t id = -1;           ///< written in place of the one chosen
  at::Tensor embedding;      ///< [1, D]
  std::array<float, 4> box;  ///< x1, y1, x2, y2 in [0, 1] of the padded square
};

/// Vision tower, connector and decoder.
class Model final : public nn::Module {
 public:
  explicit Model(const ModelConfig& config);

  const ModelConfig& config() const { return config_; }
  bool has_pictures() const { return vision_tower_ != nullptr; }

  /// The tower's features of a batch of views [N, 3, height, width].
  nn::VisualFeatures features(const at::Tensor& views, nn::RunContext& context);
  /// Everything the decoder gets of pictures. `instruction_ids`: see ModelInputs.
  Seen see(const Pixels& pixels, std::span<const image::Tiling> pictures, nn::RunContext& context,
           const at::Tensor& instruction_ids = {});
  /// Embeddings [T, D]: text rows from the table, visual rows from `visual` [Q, D] (undefined: no pictures).
  at::Tensor embed(const at::Tensor& input_ids, const at::Tensor& visual_rows, const at::Tensor& visual);
  /// The decoder's inputs of everything but the cache.
  language::DecoderInputs decoder_inputs(const ModelInputs& inputs, const Seen& seen);
  /// The row behind `id`, whose final-normed hidden state is `hidden` [1, D], when it isn't the next id's own: behind a location
  /// token the box read off the hidden state.
  std::optional<NextRow> next_row(int64_t id, const at::Tensor& hidden) const;
  /// The rows of ids that stand for known boxes, rising; empty for a model without boxes as embeddings.
  std::vector<int64_t> box_rows(std::span<const int64_t> ids) const;
  /// Final-normed hidden states of the wanted rows, [R, D]. Throws Error for an encoder-decoder, whose two passes are apart.
  at::Tensor forward(const ModelInputs& inputs, nn::RunContext& context);
  at::Tensor head(const at::Tensor& hidden) const;
  /// The head's weight [V, D].
  const at::Tensor& head_weight() const;
  /// Throws Error for an encoder-decoder.
  language::Decoder& decoder();

  /// Whether prompts go through an encoder (T5), and answers alone through the decoder, from `decoder_start_token_id` on.
  bool encodes() const { return encoder_decoder_ != nullptr; }
  /// The encoder's result for prompts and pictures, [T, D]: the memory their decoder looks at. Each span of inputs.layout is one
  /// prompt, which it sees in both directions.
  at::Tensor encode(const ModelInputs& inputs, const Seen& seen, nn::RunContext& context);
  /// The decoder over `inputs`, of either kind of model: final-normed hidden states, [R, D].
  at::Tensor decode(const language::DecoderInputs& inputs, nn::RunContext& context);

  /// Visual tokens of one picture cut that way. From the config alone.
  int64_t num_tokens(const image::Tiling& tiling) const;
  /// Where those tokens come from, in words: views, rows kept of a map, newlines.
  std::string reason(const image::Tiling& tiling) const;
  /// Each picture's visual tokens as rows x columns, for PositionRule::kMrope; empty under another rule.
  std::vector<image::Grid> token_grids(std::span<const PixelTiles> pictures) const;
  /// Rows of a second tower's memory a picture has; 0 without.
  int64_t memory_rows() const;
  /// Cost by part: vision_tower, aux_tower, connector, embedding, decoder, head. From the config alone. `work.visual_tokens` of 0
  /// with tiles given is counted from them, each as a picture of its own.
  Ledger cost(Workload work) const;

 private:
  ModelConfig config_;
  std::shared_ptr<vision::VisionTower> vision_tower_;
  std::shared_ptr<vision::VisionTower> aux_tower_;  ///< null without
  std::shared_ptr<connector::Connector> connector_;
  std::shared_ptr<connector::Arrange> arrange_;
  std::shared_ptr<language::Decoder> language_model_;          ///< null for an encoder-decoder
  std::shared_ptr<language::EncoderDecoder> encoder_decoder_;  ///< null but for one
  std::shared_ptr<grounding::LocationCodec> location_;         ///< null without boxes as embeddings
};

/// The part a parameter belongs to, by its full name: "vision", "connector" or "decoder".
std::string_view part_of(std::string_view parameter_name);

/// Casts parameters (running statistics stay fp32) into storage of their own: the only cast there is.
void set_precision(Model& model, at::ScalarType dtype);

}  // namespace ocelli::model
