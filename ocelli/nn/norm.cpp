#include "ocelli/nn/norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ocelli/kernels/elementwise.h"
#include "ocelli/nn/parallel.h"

namespace ocelli::nn {
namespace {

constexpr int64_t kLeastRows = 64;

/// The fused pass for fp32 and fp64 on the CPU.
struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const at::Tensor input = x.contiguous();
    const int64_t width = input.size(-1);
    const int64_t rows = input.numel() / std::max<int64_t>(width, 1);
    at::Tensor y = at::empty_like(input);
    at::Tensor inverse_rms = at::empty({rows}, input.options());
    AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "rms_norm", [&] {
      parallel_chunks(rows, kLeastRows, [&](int64_t, int64_t begin, int64_t end) {
        kernels::rms_norm_forward<scalar_t>(input.const_data_ptr<scalar_t>() + begin * width, weight.const_data_ptr<scalar_t>(),
                                            end - begin, width, static_cast<scalar_t>(eps),
                                            y.data_ptr<scalar_t>() + begin * width, inverse_rms.data_ptr<scalar_t>() + begin);
      });
    });
    context->save_for_backward({input, weight, inverse_rms});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& input = saved[0];
    const at::Tensor grad_y = gradients[0].contiguous();
    const int64_t width = input.size(-1);
    const int64_t rows = input.numel() / std::max<int64_t>(width, 1);
    at::Tensor grad_x = at::empty_like(input);
    at::Tensor partial = at::zeros({at::get_num_threads(), width}, input.options());
    AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "rms_norm_backward", [&] {
      parallel_chunks(rows, kLeastRows, [&](int64_t chunk, int64_t begin, int64_t end) {
        kernels::rms_norm_backward<scalar_t>(
            input.const_data_ptr<scalar_t>() + begin * width, saved[1].const_data_ptr<scalar_t>(),
            saved[2].const_data_ptr<scalar_t>() + begin, grad_y.const_data_ptr<scalar_t>() + begin * width, end - begin, width,
            grad_x.data_ptr<scalar_t>() + begin * width, partial.data_ptr<scalar_t>() + chunk * width);
      });
    });
    return {grad_x, partial.sum(0), at::Tensor()};
  }
};

bool fused(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
}

Cost norm_cost(int64_t rows, int64_t width, int64_t parameters, const Workload& work) {
  Cost cost;
  cost.parameters = parameters;
  cost.flops = static_cast<double>(rows * width) * 5;
  cost.weight_bytes = static_cast<double>(parameters * work.weight_bytes);
  cost.activation_bytes = static_cast<double>(rows * width * work.activation_bytes) * 2;
  return cost;
}

}  // namespace

std::shared_ptr<Norm> make_norm(NormKind kind, int64_t width, double eps) {
  if (kind == NormKind::kLayer) return std::make_shared<LayerNorm>(width, eps);
  return std::make_shared<RmsNorm>(width, eps, kind == NormKind::kRmsPlusOne);
}

RmsNorm::RmsNorm(int64_t width, double eps, bool plus_one) : width_(width), eps_(eps), plus_one_(plus_one) {
  weight_ = declare("weight", {width}, plus_one ? Init::zeros() : Init::ones());
}

at::Tensor RmsNorm::forward(const at::Tensor& x) const {
  if (fused(x)) return RmsNormFunction::apply(x, plus_one_ ? weight_ + 1 : weight_, eps_);
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor normed = wide * at::rsqrt(wide.square().mean({-1}, true) + eps_);
  if (plus_one_) return (normed * (weight_.to(at::kFloat) + 1)).to(x.scalar_type());
  return normed.to(x.scalar_type()) * weight_;
}

Cost RmsNorm::cost(int64_t rows, const Workload& work) const {
  return norm_cost(rows, width_, width_, work);
}

LayerNorm::LayerNorm(int64_t width, double eps) : width_(width), eps_(eps) {
  weight_ = declare("weight", {width}, Init::ones());
  bias_ = declare("bias", {width}, Init::zeros());
}

at::Tensor LayerNorm::forward(const at::Tensor& x) const {
  return at::layer_norm(x, {width_}, weight_, bias_, eps_);
}

Cost LayerNorm::cost(int64_t rows, const Workload& work) const {
  return norm_cost(rows, width_, 2 * width_, work);
}

}  // namespace ocelli::nn
