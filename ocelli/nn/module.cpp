#include "ocelli/nn/module.h"

#include <ATen/ATen.h>

#include <fmt/ranges.h>

#include "ocelli/base/error.h"
#include "ocelli/nn/position_table.h"

namespace ocelli::nn {

at::Tensor Module::declare(const std::string& name, std::vector<int64_t> shape, Init init) {
  at::Tensor tensor = register_parameter(name, at::empty({0}, at::kFloat));
  declared_.push_back({name, std::move(shape), init, false, tensor});
  return tensor;
}

at::Tensor Module::declare_buffer(const std::string& name, std::vector<int64_t> shape, Init init) {
  at::Tensor tensor = register_buffer(name, at::empty({0}, at::kFloat));
  declared_.push_back({name, std::move(shape), init, true, tensor});
  return tensor;
}

void for_each_parameter(const torch::nn::Module& root, const std::function<void(const std::string&, const Parameter&)>& visit) {
  const auto visit_own = [&](const torch::nn::Module& one, const std::string& prefix) {
    const auto* module = dynamic_cast<const Module*>(&one);
    if (module == nullptr) return;
    for (const Parameter& parameter : module->declared()) visit(prefix + parameter.name, parameter);
  };
  // The root apart: named_modules() would ask for the shared pointer that holds it, and it may lie on the stack.
  visit_own(root, "");
  for (const auto& item : root.named_modules("", false)) visit_own(*item.value(), item.key() + ".");
}

void fill(const std::string& full_name, const Parameter& parameter, const at::Tensor& value) {
  if (value.sizes() != at::IntArrayRef(parameter.shape)) {
    fail("{}: shape {} instead of {}", full_name, fmt::join(value.sizes(), "x"), fmt::join(parameter.shape, "x"));
  }
  at::Tensor target = parameter.tensor;
  target.set_data(value);
}

void initialize(torch::nn::Module& root, uint64_t seed, at::ScalarType dtype) {
  for_each_parameter(root, [&](const std::string& name, const Parameter& parameter) {
    at::Tensor value = at::zeros(parameter.shape, at::kFloat);
    const Rng rng = Rng::named(seed, name);
    const float scale = static_cast<float>(parameter.init.scale);
    switch (parameter.init.kind) {
      case Init::Kind::kZeros:
        break;
      case Init::Kind::kOnes:
        value.fill_(1);
        break;
      case Init::Kind::kConstant:
        value.fill_(parameter.init.scale);
        break;
      case Init::Kind::kNormal:
        rng.fill_normal(value.data_ptr<float>(), value.numel(), scale);
        break;
      case Init::Kind::kUniform:
        rng.fill_uniform(value.data_ptr<float>(), value.numel(), -scale, scale);
        break;
      case Init::Kind::kSinCos:
        value = sin_cos_table(square_grid(parameter.shape[0], name.c_str()), parameter.shape[1]).clone();
        break;
    }
    fill(name, parameter, value.to(dtype));
  });
}

int64_t count_parameters(const torch::nn::Module& root) {
  int64_t total = 0;
  for_each_parameter(root, [&](const std::string&, const Parameter& parameter) {
    int64_t count = parameter.buffer ? 0 : 1;
    for (const int64_t size : parameter.shape) count *= size;
    total += count;
  });
  return total;
}

}  // namespace ocelli::nn
