#pragma once

#include <memory>

#include "ocelli/base/cost.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/module.h"

namespace ocelli::grounding {

/// Boxes as embeddings: a known box is put into the text as one vector, a wanted one is read off a hidden state.
///
///   encode(box) = encoder.2(relu(encoder.0(box)))     box: x1, y1, x2, y2 in [0, 1] of the square the picture lies in
///   decode(h)   = decoder.2(relu(decoder.0(h)))
///
/// Source: NExT-Chat, arXiv:2311.04498, section 3.2; loc_encoder and loc_decoder of its nextchat_base.py.
class LocationCodec final : public nn::Module {
 public:
  LocationCodec(int64_t hidden_size, int64_t inner_width);

  /// boxes: [B, 4]. Returns [B, D].
  at::Tensor encode(const at::Tensor& boxes) const;
  /// hidden: [B, D], final-normed. Returns boxes [B, 4], not clamped.
  at::Tensor decode(const at::Tensor& hidden) const;
  /// `boxes` boxes one way.
  Cost cost(int64_t boxes, const Workload& work) const;

 private:
  /// Two projections with a ReLU between.
  class Mlp;
  std::shared_ptr<Mlp> encoder_, decoder_;
};

}  // namespace ocelli::grounding
