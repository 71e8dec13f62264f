#include "ocelli/vision/conv.h"

#include <ATen/ATen.h>

#include <cmath>

namespace ocelli::vision {

Conv::Conv(const ConvConfig& config) : config_(config) {
  const int64_t taps = config.in / config.groups * config.kernel * config.kernel;
  // Torch's default for convolutions.
  weight_ = declare("weight", {config.out, config.in / config.groups, config.kernel, config.kernel},
                    nn::Init::uniform(1.0 / std::sqrt(static_cast<double>(taps))));
  if (config.bias) bias_ = declare("bias", {config.out}, nn::Init::zeros());
}

at::Tensor Conv::forward(const at::Tensor& x) const {
  return at::conv2d(x, weight_, bias_, {config_.stride, config_.stride}, {config_.padding, config_.padding}, {1, 1},
                    config_.groups);
}

Cost Conv::cost(int64_t tiles, image::Grid out, const Workload& work) const {
  Cost cost = linear_cost(tiles * out.count(), config_.in / config_.groups * config_.kernel * config_.kernel, config_.out,
                          config_.bias, work);
  const double read = static_cast<double>(out.count() * config_.stride * config_.stride * config_.in);
  const double written = static_cast<double>(out.count() * config_.out);
  cost.activation_bytes = (read + written) * static_cast<double>(tiles * work.activation_bytes);
  return cost;
}

}  // namespace ocelli::vision
