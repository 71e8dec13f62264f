#include "ocelli/grounding/location_codec.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::grounding {

class LocationCodec::Mlp final : public nn::Module {
 public:
  Mlp(int64_t in, int64_t inner, int64_t out) {
    // Named as the places of a Sequential, which checkpoints hold.
    first_ = register_module("0", std::make_shared<nn::Linear>(in, inner, true));
    second_ = register_module("2", std::make_shared<nn::Linear>(inner, out, true));
  }
  at::Tensor forward(const at::Tensor& x) const { return second_->forward(at::relu(first_->forward(x))); }
  Cost cost(int64_t rows, const Workload& work) const { return first_->cost(rows, work) + second_->cost(rows, work); }

 private:
  std::shared_ptr<nn::Linear> first_, second_;
};

LocationCodec::LocationCodec(int64_t hidden_size, int64_t inner_width) {
  encoder_ = register_module("encoder", std::make_shared<Mlp>(4, inner_width, hidden_size));
  decoder_ = register_module("decoder", std::make_shared<Mlp>(hidden_size, inner_width, 4));
}

at::Tensor LocationCodec::encode(const at::Tensor& boxes) const {
  require(boxes.dim() == 2 && boxes.size(1) == 4, "location codec: boxes of shape {}, expected B x 4", c10::str(boxes.sizes()));
  return encoder_->forward(boxes);
}

at::Tensor LocationCodec::decode(const at::Tensor& hidden) const {
  return decoder_->forward(hidden);
}

Cost LocationCodec::cost(int64_t boxes, const Workload& work) const {
  return encoder_->cost(boxes, work);
}

}  // namespace ocelli::grounding
