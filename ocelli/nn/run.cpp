#include "ocelli/nn/run.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "ocelli/base/error.h"

namespace ocelli::nn {
namespace {

using Block = std::function<at::Tensor(const at::Tensor&)>;

/// Keeps the block's input; the backward pass runs the block again with gradients on. Parameters' gradients reach them
/// through accumulation inside the nested backward pass.
struct Checkpoint : torch::autograd::Function<Checkpoint> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                            const std::shared_ptr<Block>& block) {
    context->save_for_backward({hidden});
    context->saved_data["block"] = c10::IValue::make_capsule(c10::make_intrusive<Holder>(block));
    at::NoGradGuard no_grad;
    return (*block)(hidden);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto holder = c10::static_intrusive_pointer_cast<Holder>(context->saved_data["block"].toCapsule());
    at::Tensor input = context->get_saved_variables()[0].detach();
    at::Tensor output;
    {
      at::AutoGradMode enable(true);
      input.requires_grad_(true);
      output = (*holder->block)(input);
    }
    torch::autograd::backward({output}, {gradients[0]});
    return {input.grad(), at::Tensor()};
  }

  struct Holder : torch::CustomClassHolder {
    explicit Holder(std::shared_ptr<Block> held) : block(std::move(held)) {}
    std::shared_ptr<Block> block;
  };
};

/// Passes `hidden` on and stands between `shared` and the leaf the blocks read in its place.
struct Gather : torch::autograd::Function<Gather> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden, const at::Tensor& shared,
                            const at::Tensor& leaf) {
    context->saved_data["leaf"] = leaf;
    return hidden.view_as(hidden);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    return {gradients[0], context->saved_data["leaf"].toTensor().grad(), at::Tensor()};
  }
};

}  // namespace

WithShared share_with_blocks(const at::Tensor& hidden, const at::Tensor& shared, const RunContext& context) {
  if (!context.gradient_checkpointing || !at::GradMode::is_enabled() || !shared.defined() || !shared.requires_grad()) {
    return {hidden, shared};
  }
  const at::Tensor leaf = shared.detach().requires_grad_(true);
  return {Gather::apply(hidden, shared, leaf), leaf};
}

at::Tensor run_block(std::string_view name, const Block& block, const at::Tensor& hidden, RunContext& context, bool trains) {
  at::Tensor output;
  if (context.gradient_checkpointing && at::GradMode::is_enabled() && (trains || hidden.requires_grad())) {
    // Without a differentiable input the function would have no gradient edge and the block's parameters none either.
    const at::Tensor input = hidden.requires_grad() ? hidden : hidden.detach().requires_grad_(true);
    output = Checkpoint::apply(input, std::make_shared<Block>(block));
  } else {
    output = block(hidden);
  }
  if (context.observe) context.observe(name, output);
  return output;
}

bool trains(const torch::nn::Module& module) {
  const std::vector<at::Tensor> parameters = module.parameters();
  return std::any_of(parameters.begin(), parameters.end(), [](const at::Tensor& one) { return one.requires_grad(); });
}

void stop_at_non_finite(RunContext& context) {
  context.observe = [](std::string_view block, const at::Tensor& output) {
    require(at::isfinite(output).all().item<bool>(), "{}: its output holds a value that is not finite", block);
  };
}

}  // namespace ocelli::nn
