#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <string_view>

namespace ocelli::nn {

/// What a forward pass is run for. One object per pass, handed down to every block.
struct RunContext {
  bool training = false;  ///< batch statistics are taken and updated
  /// Blocks keep their input alone and run again in the backward pass (Chen et al., arXiv:1604.06174).
  bool gradient_checkpointing = false;
  /// Called with each block's name and output, in order: activation capture, timing, search for the first non-finite value.
  std::function<void(std::string_view block, const at::Tensor& output)> observe;
};

/// The one way through a repeated block: `block(hidden)` under the context's checkpointing and observation.
/// The block must be a pure function of `hidden` and of parameters (it may run twice); what else it reads must not change
/// until the backward pass is over, and gets gradients through share_with_blocks() alone. `trains`: whether a parameter of the
/// block needs a gradient (see trains()); a block that has neither such a parameter nor such an input is never run again.
at::Tensor run_block(std::string_view name, const std::function<at::Tensor(const at::Tensor&)>& block, const at::Tensor& hidden,
                     RunContext& context, bool trains = true);

/// Whether any parameter under `module` needs a gradient.
bool trains(const torch::nn::Module& module);

/// `hidden` and a tensor that blocks behind it read besides their own input (an encoder's memory, a picture's patches).
struct WithShared {
  at::Tensor hidden;
  at::Tensor shared;
};

/// What to hand to the blocks when gradients shall reach both: under checkpointing each block's backward pass ends at the
/// returned `shared`, which gathers their gradients; they go on to the given one once `hidden`'s is known, that is behind all
/// blocks. Without checkpointing the two as they are.
WithShared share_with_blocks(const at::Tensor& hidden, const at::Tensor& shared, const RunContext& context);

/// Makes `context` throw Error naming the first block whose output holds a value that isn't finite.
void stop_at_non_finite(RunContext& context);

}  // namespace ocelli::nn
