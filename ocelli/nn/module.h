#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <string>
#include <vector>

#include "ocelli/base/rng.h"

namespace ocelli::nn {

/// How a parameter starts when it isn't loaded.
struct Init {
  enum class Kind { kZeros, kOnes, kNormal, kUniform, kConstant, kSinCos } kind = Kind::kZeros;
  double scale = 0;  ///< kNormal: standard deviation; kUniform: the half-width; kConstant: the value

  static Init zeros() { return {}; }
  static Init ones() { return {Kind::kOnes, 0}; }
  static Init normal(double std) { return {Kind::kNormal, std}; }
  static Init uniform(double half_width) { return {Kind::kUniform, half_width}; }
  /// [g * g, D]: the `sin_cos_table` of a g x g grid.
  static Init sin_cos() { return {Kind::kSinCos, 0}; }
  static Init constant(double value) { return {Kind::kConstant, value}; }
};

/// A declared parameter or buffer of one module.
struct Parameter {
  std::string name;  ///< within its module: "weight"
  std::vector<int64_t> shape;
  Init init;
  bool buffer = false;  ///< state that no gradient reaches: running statistics
  at::Tensor tensor;    ///< empty until filled; the same tensor the module computes with
};

/// Base of every module. Constructors only declare: the tensors are empty until `initialize` or `model::load` fills them
/// by `set_data`, so building a 7-billion-parameter model costs nothing.
class Module : public torch::nn::Module {
 public:
  const std::vector<Parameter>& declared() const { return declared_; }

 protected:
  /// Registers an empty tensor; the returned handle sees what fills it later.
  at::Tensor declare(const std::string& name, std::vector<int64_t> shape, Init init);
  at::Tensor declare_buffer(const std::string& name, std::vector<int64_t> shape, Init init);

 private:
  std::vector<Parameter> declared_;
};

/// Holds modules whose names lie below its own in checkpoints: the `layers` of `layers.0`.
struct Holder final : Module {};

/// Calls `visit(full name, parameter)` for every declared tensor under `root`, in order of construction.
void for_each_parameter(const torch::nn::Module& root, const std::function<void(const std::string&, const Parameter&)>& visit);

/// Puts `value` in a declared parameter's place. Throws Error naming it when the shape differs.
void fill(const std::string& full_name, const Parameter& parameter, const at::Tensor& value);

/// Fills every parameter under `root` by its initialiser in 64-byte-aligned storage of its own. The values of a parameter depend
/// on (seed, full name) alone.
void initialize(torch::nn::Module& root, uint64_t seed, at::ScalarType dtype = at::kFloat);

/// Number of elements declared under `root`, buffers left out; from shapes alone.
int64_t count_parameters(const torch::nn::Module& root);

}  // namespace ocelli::nn
