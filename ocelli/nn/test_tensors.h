#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <string>

#include "ocelli/nn/module.h"

namespace ocelli::test {

/// Equal within `tolerance` times the largest magnitude of `want` (at least 0.01 is taken for it, so that zeros may be near
/// zeros).
inline ::testing::AssertionResult agree(const at::Tensor& got, const at::Tensor& want, double tolerance) {
  if (!got.defined() || !want.defined()) return ::testing::AssertionFailure() << "a tensor is undefined";
  if (got.sizes() != want.sizes())
    return ::testing::AssertionFailure() << "shape " << got.sizes() << " instead of " << want.sizes();
  if (got.numel() == 0) return ::testing::AssertionSuccess();
  const at::Tensor expected = want.detach().to(at::kDouble);
  const double scale = std::max(1e-2, expected.abs().max().item<double>());
  const double difference = (got.detach().to(at::kDouble) - expected).abs().max().item<double>();
  if (difference <= tolerance * scale) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "differs by " << difference << " of " << scale << ", allowed is " << tolerance * scale;
}

/// Standard normal values, the same for the same arguments.
inline at::Tensor normal(at::IntArrayRef sizes, at::ScalarType dtype, uint64_t seed) {
  at::Tensor values = at::empty(sizes, at::kFloat);
  Rng(seed).fill_normal(values.data_ptr<float>(), values.numel(), 1);
  return values.to(dtype);
}

/// Fills every parameter with values away from where training starts: nothing zero, norms near one, variances positive.
inline void randomize(torch::nn::Module& module, uint64_t seed, at::ScalarType dtype, double scale = 0.3) {
  nn::for_each_parameter(module, [&](const std::string& name, const nn::Parameter& parameter) {
    at::Tensor values = at::empty(parameter.shape, at::kFloat);
    Rng::named(seed, name).fill_normal(values.data_ptr<float>(), values.numel(), static_cast<float>(scale));
    if (parameter.name == "running_var") values = values.abs() + 0.5;
    if (parameter.init.kind == nn::Init::Kind::kOnes && !parameter.buffer) values = values + 1;
    nn::fill(name, parameter, values.to(dtype));
  });
}

inline void clear_gradients(torch::nn::Module& module) {
  for (at::Tensor& parameter : module.parameters()) parameter.mutable_grad() = at::Tensor();
}

/// Copies of all parameters' gradients, in order; zeros where there is none.
inline std::vector<at::Tensor> gradients_of(const torch::nn::Module& module) {
  std::vector<at::Tensor> out;
  for (const at::Tensor& parameter : module.parameters()) {
    out.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::zeros_like(parameter));
  }
  return out;
}

}  // namespace ocelli::test
