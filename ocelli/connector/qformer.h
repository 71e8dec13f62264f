#pragma once

#include <memory>
#include <vector>

#include "ocelli/connector/connector.h"
#include "ocelli/connector/qformer_config.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/norm.h"

namespace ocelli::connector {

/// Learned queries that look at the patches through a BERT of post-norm blocks, then one projection: a picture of any size
/// becomes `num_query_tokens` visual tokens. With instruction text its words stand beside the queries in self-attention and have
/// feed-forward layers of their own; they neither look at the picture nor leave the Q-Former.
/// Source: BLIP-2, arXiv:2301.12597, section 3.1; InstructBLIP, arXiv:2305.06500, section 2.3. Weights are named as in
/// transformers' Blip2ForConditionalGeneration and InstructBlipForConditionalGeneration: `query_tokens`, `qformer.*`,
/// `language_projection.*`.
class QFormer final : public Connector {
 public:
  QFormer(const QFormerConfig& config, int64_t input_width, int64_t output_width);

  /// features.maps: [N, P, D_vision], any P. `instruction_ids`: [N, T] int64, -1 behind a text's end; undefined: no text.
  /// Returns [N, Q, D_language]. Throws Error for text a Q-Former without text is given, too long a text, an id outside the
  /// vocabulary.
  at::Tensor forward(const nn::VisualFeatures& features, const at::Tensor& instruction_ids, nn::RunContext& run);
  at::Tensor forward(const nn::VisualFeatures& features, const ConnectorContext& context) override;
  int64_t num_tokens(image::Grid) const override { return config_.num_query_tokens; }
  /// Without instruction text.
  Cost cost(image::Grid grid, int64_t tiles, const Workload& work) const override { return cost(grid, tiles, 0, work); }
  /// With `text` instruction tokens a tile.
  Cost cost(image::Grid grid, int64_t tiles, int64_t text, const Workload& work) const;

 private:
  class Attention;
  class FeedForward;
  class Layer;
  class Body;
  /// Word plus position of every text token, picture by picture: [sum of lengths, D].
  at::Tensor embed_text(const at::Tensor& ids, const std::vector<int64_t>& lengths) const;

  QFormerConfig config_;
  int64_t input_width_;
  at::Tensor query_tokens_;  ///< [1, Q, D]
  std::shared_ptr<Body> qformer_;
  std::shared_ptr<nn::Linear> language_projection_;
};

}  // namespace ocelli::connector
