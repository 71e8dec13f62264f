#pragma once

#include "ocelli/base/cost.h"
#include "ocelli/nn/module.h"

namespace ocelli::nn {

/// y = x / sqrt(mean(x^2) + eps) * weight over the last dimension; statistics in fp32.
/// Source: Zhang and Sennrich, arXiv:1910.07467; the weight multiplies after the cast back, as in transformers' LlamaRMSNorm.
class RmsNorm final : public Module {
 public:
  RmsNorm(int64_t width, double eps);
  at::Tensor forward(const at::Tensor& x) const;
  Cost cost(int64_t rows, const Workload& work) const;

 private:
  int64_t width_;
  double eps_;
  at::Tensor weight_;  ///< [width]
};

/// y = (x - mean) / sqrt(variance + eps) * weight + bias over the last dimension. Ba et al., arXiv:1607.06450.
class LayerNorm final : public Module {
 public:
  LayerNorm(int64_t width, double eps);
  at::Tensor forward(const at::Tensor& x) const;
  Cost cost(int64_t rows, const Workload& work) const;

 private:
  int64_t width_;
  double eps_;
  at::Tensor weight_;  ///< [width]
  at::Tensor bias_;    ///< [width]
};

}  // namespace ocelli::nn
