#include "ocelli/nn/rope.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ocelli/kernels/elementwise.h"
#include "ocelli/nn/parallel.h"

namespace ocelli::nn {
namespace {

/// Rotates a contiguous copy of x [T, heads, E]; `inverse` turns back.
at::Tensor rotated(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine, bool inverse) {
  at::Tensor y = x.clone(at::MemoryFormat::Contiguous);
  const int64_t heads = y.size(1), width = y.size(2);
  AT_DISPATCH_FLOATING_TYPES(y.scalar_type(), "rope", [&] {
    parallel_chunks(y.size(0), 64, [&](int64_t, int64_t begin, int64_t end) {
      kernels::rope<scalar_t>(y.data_ptr<scalar_t>() + begin * heads * width, end - begin, heads, width, heads * width, width,
                              cosine.const_data_ptr<scalar_t>() + begin * width / 2, sine.const_data_ptr<scalar_t>() + begin * width / 2,
                              inverse);
    });
  });
  return y;
}

struct RopeFunction : torch::autograd::Function<RopeFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& cosine,
                            const at::Tensor& sine) {
    context->save_for_backward({cosine, sine});
    return rotated(x, cosine, sine, false);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotated(gradients[0], saved[0], saved[1], true), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

RopeTable rope_table(const at::Tensor& positions, int64_t head_width, double theta, at::ScalarType dtype) {
  const auto options = at::TensorOptions().dtype(dtype).device(positions.device());
  const at::Tensor exponent = at::arange(0, head_width, 2, options) / static_cast<double>(head_width);
  const at::Tensor inverse_frequency = 1.0 / at::pow(theta, exponent);
  const at::Tensor angles = positions.to(dtype).unsqueeze(1) * inverse_frequency.unsqueeze(0);
  return {angles.cos(), angles.sin()};
}

at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table) {
  if (x.is_cpu() && x.scalar_type() == table.cosine.scalar_type()) return RopeFunction::apply(x, table.cosine, table.sine);
  // As the references do under bf16: the table is cast down, the rotation runs in the activations' type.
  const at::Tensor cosine = table.cosine.to(x.scalar_type()).unsqueeze(1);
  const at::Tensor sine = table.sine.to(x.scalar_type()).unsqueeze(1);
  const auto halves = x.chunk(2, -1);
  return at::cat({halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine}, -1);
}

}  // namespace ocelli::nn
