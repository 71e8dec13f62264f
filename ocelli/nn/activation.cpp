#include "ocelli/nn/activation.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <string>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/kernels/elementwise.h"
#include "ocelli/nn/parallel.h"

namespace ocelli::nn {
namespace {

constexpr int64_t kLeastElements = 1 << 14;

constexpr std::array<std::pair<std::string_view, Activation>, 7> kNames = {{{"gelu", Activation::kGelu},
                                                                            {"gelu_pytorch_tanh", Activation::kGeluTanh},
                                                                            {"gelu_new", Activation::kGeluTanh},
                                                                            {"quick_gelu", Activation::kQuickGelu},
                                                                            {"silu", Activation::kSilu},
                                                                            {"swish", Activation::kSilu},
                                                                            {"relu", Activation::kRelu}}};

struct SwigluFunction : torch::autograd::Function<SwigluFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate_in, const at::Tensor& up_in) {
    const at::Tensor gate = gate_in.contiguous();
    const at::Tensor up = up_in.contiguous();
    at::Tensor y = at::empty_like(gate);
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "swiglu", [&] {
      parallel_chunks(gate.numel(), kLeastElements, [&](int64_t, int64_t begin, int64_t end) {
        kernels::swiglu_forward<scalar_t>(gate.const_data_ptr<scalar_t>() + begin, up.const_data_ptr<scalar_t>() + begin,
                                          end - begin, y.data_ptr<scalar_t>() + begin);
      });
    });
    context->save_for_backward({gate, up});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor grad_y = gradients[0].contiguous();
    at::Tensor grad_gate = at::empty_like(saved[0]);
    at::Tensor grad_up = at::empty_like(saved[1]);
    AT_DISPATCH_FLOATING_TYPES(grad_y.scalar_type(), "swiglu_backward", [&] {
      parallel_chunks(grad_y.numel(), kLeastElements, [&](int64_t, int64_t begin, int64_t end) {
        kernels::swiglu_backward<scalar_t>(saved[0].const_data_ptr<scalar_t>() + begin,
                                           saved[1].const_data_ptr<scalar_t>() + begin, grad_y.const_data_ptr<scalar_t>() + begin,
                                           end - begin, grad_gate.data_ptr<scalar_t>() + begin,
                                           grad_up.data_ptr<scalar_t>() + begin);
      });
    });
    return {grad_gate, grad_up};
  }
};

}  // namespace

Activation activation_from_name(std::string_view name) {
  for (const auto& [known, activation] : kNames) {
    if (known == name) return activation;
  }
  std::string list;
  for (const auto& [known, activation] : kNames) list += (list.empty() ? "" : ", ") + std::string(known);
  fail("activation \"{}\" is not known; known are {}", name, list);
}

std::string_view name_of(Activation activation) {
  for (const auto& [known, value] : kNames) {
    if (value == activation) return known;
  }
  return "?";
}

at::Tensor activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kGelu:
      return at::gelu(x, "none");
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kQuickGelu:
      return x * at::sigmoid(1.702 * x);
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kRelu:
      return at::relu(x);
  }
  return x;
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  if (gate.is_cpu() && (gate.scalar_type() == at::kFloat || gate.scalar_type() == at::kDouble))
    return SwigluFunction::apply(gate, up);
  return at::silu(gate) * up;
}

}  // namespace ocelli::nn
