#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

namespace ocelli::nn {

/// Activations by the names of Hugging Face configs (`hidden_act`).
enum class Activation {
  kGelu,       ///< "gelu": x * Phi(x), by erf
  kGeluTanh,   ///< "gelu_pytorch_tanh", "gelu_new": the tanh approximation
  kQuickGelu,  ///< "quick_gelu": x * sigmoid(1.702 x)
  kSilu,       ///< "silu", "swish"
  kRelu,       ///< "relu"
};

/// Throws Error naming the value and the known names.
Activation activation_from_name(std::string_view name);
std::string_view name_of(Activation activation);

at::Tensor activate(Activation activation, const at::Tensor& x);

/// silu(gate) * up in one pass over memory.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace ocelli::nn
