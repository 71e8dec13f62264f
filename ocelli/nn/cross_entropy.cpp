#include "ocelli/nn/cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <fmt/ranges.h>

#include <optional>

#include "ocelli/base/error.h"
#include "ocelli/kernels/elementwise.h"
#include "ocelli/nn/parallel.h"

namespace ocelli::nn {
namespace {

/// Logits of one chunk, in elements: 16 MiB of fp32.
constexpr int64_t kChunkElements = 4 << 20;

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden_in,
                                                const at::Tensor& weight, const at::Tensor& labels, const at::Tensor& scale,
                                                const std::optional<at::Tensor>& bias) {
    const at::Tensor hidden = hidden_in.contiguous();
    const at::ScalarType wide = hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const int64_t rows = hidden.size(0), vocabulary = weight.size(0);
    at::Tensor losses = at::empty({rows}, hidden.options().dtype(wide));
    at::Tensor grad_hidden = at::empty_like(hidden);
    // A frozen head costs no gradient of its weight: a product as large as the projection itself.
    const bool trains = weight.requires_grad();
    at::Tensor grad_weight;
    if (trains) grad_weight = at::zeros(weight.sizes(), weight.options().dtype(wide));
    const bool bias_trains = bias && bias->requires_grad();
    at::Tensor grad_bias;
    if (bias_trains) grad_bias = at::zeros(bias->sizes(), bias->options().dtype(wide));
    const at::Tensor scales = scale.to(wide).contiguous();
    const int64_t chunk = std::max<int64_t>(1, kChunkElements / std::max<int64_t>(vocabulary, 1));
    for (int64_t begin = 0; begin < rows; begin += chunk) {
      const int64_t count = std::min(chunk, rows - begin);
      const at::Tensor part = hidden.narrow(0, begin, count);
      at::Tensor logits = at::matmul(part, weight.t()).to(wide).contiguous();
      if (bias) logits.add_(bias->to(wide));
      AT_DISPATCH_FLOATING_TYPES(wide, "cross_entropy", [&] {
        parallel_chunks(count, 16, [&](int64_t, int64_t first, int64_t last) {
          kernels::cross_entropy_in_place<scalar_t>(logits.data_ptr<scalar_t>() + first * vocabulary,
                                                    labels.const_data_ptr<int64_t>() + begin + first,
                                                    scales.const_data_ptr<scalar_t>() + begin + first, last - first, vocabulary,
                                                    losses.data_ptr<scalar_t>() + begin + first);
        });
      });
      if (bias_trains) grad_bias.add_(logits.sum(0));
      const at::Tensor gradient = logits.to(hidden.scalar_type());
      at::Tensor grad_part = grad_hidden.narrow(0, begin, count);
      at::matmul_out(grad_part, gradient, weight);
      if (!trains) continue;
      if (weight.scalar_type() == wide) {
        grad_weight.addmm_(gradient.t(), part);
      } else {
        grad_weight.add_(at::matmul(gradient.t(), part).to(wide));
      }
    }
    context->save_for_backward({grad_hidden, trains ? grad_weight.to(weight.scalar_type()) : at::Tensor(),
                                bias_trains ? grad_bias.to(bias->scalar_type()) : at::Tensor()});
    context->mark_non_differentiable({losses});
    return {(losses * scales).sum(), losses};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& outer = gradients[0];
    const auto scaled = [&](const at::Tensor& gradient) {
      return gradient.defined() ? gradient * outer.to(gradient.scalar_type()) : at::Tensor();
    };
    return {scaled(saved[0]), scaled(saved[1]), at::Tensor(), at::Tensor(), scaled(saved[2])};
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels,
                                const at::Tensor& scale, at::Tensor* row_losses, const at::Tensor& bias) {
  require(hidden.dim() == 2 && weight.dim() == 2 && hidden.size(1) == weight.size(1) && labels.numel() == hidden.size(0) &&
              scale.numel() == hidden.size(0),
          "cross-entropy: hidden {}, weight {}, {} labels and {} scales do not go together", fmt::join(hidden.sizes(), "x"),
          fmt::join(weight.sizes(), "x"), labels.numel(), scale.numel());
  require(!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0)),
          "cross-entropy: bias {}, expected {} numbers, as many as the weight has rows", fmt::join(bias.sizes(), "x"),
          weight.size(0));
  if (labels.numel() > 0) {
    const int64_t low = labels.min().item<int64_t>(), high = labels.max().item<int64_t>();
    require(low >= 0 && high < weight.size(0), "cross-entropy: labels run from {} to {}, the vocabulary has {} entries", low,
            high, weight.size(0));
  }
  const std::optional<at::Tensor> given = bias.defined() ? std::optional(bias) : std::nullopt;
  auto result = LinearCrossEntropy::apply(hidden, weight, labels.contiguous(), scale, given);
  if (row_losses != nullptr) *row_losses = result[1];
  return result[0];
}

}  // namespace ocelli::nn
