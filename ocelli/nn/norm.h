#pragma once

#include <memory>

#include "ocelli/base/cost.h"
#include "ocelli/nn/module.h"

namespace ocelli::nn {

/// A norm over the last dimension.
class Norm : public Module {
 public:
  virtual at::Tensor forward(const at::Tensor& x) const = 0;
  virtual Cost cost(int64_t rows, const Workload& work) const = 0;
};

enum class NormKind {
  kLayer,       ///< LayerNorm
  kRms,         ///< RmsNorm
  kRmsPlusOne,  ///< RmsNorm that multiplies by 1 + weight (Gemma)
};
std::shared_ptr<Norm> make_norm(NormKind kind, int64_t width, double eps);

/// y = x / sqrt(mean(x^2) + eps) * weight over the last dimension; statistics in fp32.
/// Source: Zhang and Sennrich, arXiv:1910.07467; the weight multiplies after the cast back, as in transformers' LlamaRMSNorm.
/// `plus_one`: times 1 + weight, in fp32, which starts at zero (GemmaRMSNorm).
class RmsNorm final : public Norm {
 public:
  RmsNorm(int64_t width, double eps, bool plus_one = false);
  at::Tensor forward(const at::Tensor& x) const override;
  Cost cost(int64_t rows, const Workload& work) const override;

 private:
  int64_t width_;
  double eps_;
  bool plus_one_;
  at::Tensor weight_;  ///< [width]
};

/// y = (x - mean) / sqrt(variance + eps) * weight + bias over the last dimension. Ba et al., arXiv:1607.06450.
class LayerNorm final : public Norm {
 public:
  LayerNorm(int64_t width, double eps);
  at::Tensor forward(const at::Tensor& x) const override;
  Cost cost(int64_t rows, const Workload& work) const override;

 private:
  int64_t width_;
  double eps_;
  at::Tensor weight_;  ///< [width]
  at::Tensor bias_;    ///< [width]
};

}  // namespace ocelli::nn
