#include "ocelli/nn/linear.h"

#include <ATen/ATen.h>

#include <cmath>

namespace ocelli::nn {

Linear::Linear(int64_t in_features, int64_t out_features, bool bias)
    : Linear(in_features, out_features, bias, Init::uniform(1.0 / std::sqrt(static_cast<double>(in_features)))) {}

Linear::Linear(int64_t in_features, int64_t out_features, bool bias, Init init)
    : in_features_(in_features), out_features_(out_features) {
  weight_ = declare("weight", {out_features, in_features}, init);
  if (bias) bias_ = declare("bias", {out_features}, Init::zeros());
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  return at::linear(x, weight_, bias_);
}

Cost Linear::cost(int64_t rows, const Workload& work) const {
  return linear_cost(rows, in_features_, out_features_, bias_.defined(), work);
}

}  // namespace ocelli::nn
