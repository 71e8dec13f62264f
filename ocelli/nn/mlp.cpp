#include "ocelli/nn/mlp.h"

#include <ATen/ATen.h>

namespace ocelli::nn {

Mlp::Mlp(int64_t width, int64_t intermediate_size, Activation activation, Init output_init, bool bias) : activation_(activation) {
  fc1_ = register_module("fc1", std::make_shared<Linear>(width, intermediate_size, bias));
  fc2_ = register_module("fc2", std::make_shared<Linear>(intermediate_size, width, bias, output_init));
}

at::Tensor Mlp::forward(const at::Tensor& x) const {
  return fc2_->forward(activate(activation_, fc1_->forward(x)));
}

Cost Mlp::cost(int64_t rows, const Workload& work) const {
  return fc1_->cost(rows, work) + fc2_->cost(rows, work);
}

GatedMlp::GatedMlp(int64_t width, int64_t intermediate_size, Activation activation, bool bias, Init init, Init output_init)
    : intermediate_size_(intermediate_size), activation_(activation) {
  gate_proj_ = register_module("gate_proj", std::make_shared<Linear>(width, intermediate_size, bias, init));
  up_proj_ = register_module("up_proj", std::make_shared<Linear>(width, intermediate_size, bias, init));
  down_proj_ = register_module("down_proj", std::make_shared<Linear>(intermediate_size, width, bias, output_init));
}

at::Tensor GatedMlp::forward(const at::Tensor& x) const {
  const at::Tensor gate = gate_proj_->forward(x);
  const at::Tensor up = up_proj_->forward(x);
  return down_proj_->forward(activation_ == Activation::kSilu ? swiglu(gate, up) : activate(activation_, gate) * up);
}

Cost GatedMlp::cost(int64_t rows, const Workload& work) const {
  Cost product;
  product.flops = static_cast<double>(rows * intermediate_size_) * 5;
  product.activation_bytes = static_cast<double>(rows * intermediate_size_ * work.activation_bytes) * 3;
  return gate_proj_->cost(rows, work) + up_proj_->cost(rows, work) + product + down_proj_->cost(rows, work);
}

}  // namespace ocelli::nn
