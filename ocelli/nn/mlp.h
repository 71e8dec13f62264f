#pragma once

#include "ocelli/nn/activation.h"
#include "ocelli/nn/linear.h"

namespace ocelli::nn {

/// fc2(activation(fc1(x))).
class Mlp final : public Module {
 public:
  Mlp(int64_t width, int64_t intermediate_size, Activation activation, Init output_init, bool bias = true);
  at::Tensor forward(const at::Tensor& x) const;
  Cost cost(int64_t rows, const Workload& work) const;

 private:
  Activation activation_;
  std::shared_ptr<Linear> fc1_, fc2_;
};

/// down_proj(activation(gate_proj(x)) * up_proj(x)). Shazeer, arXiv:2002.05202.
class GatedMlp final : public Module {
 public:
  GatedMlp(int64_t width, int64_t intermediate_size, Activation activation, bool bias, Init init, Init output_init);
  at::Tensor forward(const at::Tensor& x) const;
  Cost cost(int64_t rows, const Workload& work) const;

 private:
  int64_t intermediate_size_;
  Activation activation_;
  std::shared_ptr<Linear> gate_proj_, up_proj_, down_proj_;
};

}  // namespace ocelli::nn
