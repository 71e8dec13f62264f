#pragma once

#include "ocelli/base/cost.h"
#include "ocelli/nn/module.h"

namespace ocelli::nn {

/// y = x W^T + b. Every projection of every part goes through here.
class Linear final : public Module {
 public:
  /// The weight starts uniform within 1 / sqrt(in), torch's default; the bias at zero.
  Linear(int64_t in_features, int64_t out_features, bool bias);
  Linear(int64_t in_features, int64_t out_features, bool bias, Init init);

  /// x: [..., in]. Returns [..., out].
  at::Tensor forward(const at::Tensor& x) const;

  /// `rows` rows through the projection.
  Cost cost(int64_t rows, const Workload& work) const;

  const at::Tensor& weight() const { return weight_; }
  /// Undefined without.
  const at::Tensor& bias() const { return bias_; }

 private:
  int64_t in_features_;
  int64_t out_features_;
  at::Tensor weight_;  ///< [out, in]
  at::Tensor bias_;    ///< [out], undefined without
};

}  // namespace ocelli::nn
