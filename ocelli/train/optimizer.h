#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ocelli/model/model.h"
#include "ocelli/train/recipe.h"

namespace ocelli::train {

/// AdamW over the parts a stage trains, each with its rate. In bf16 it holds the fp32 weights, and writes one bf16 copy for the
/// model to compute with after every step. State is kept by parameter name.
class Optimizer {
 public:
  /// Marks trained parameters as requiring gradients and all others as not.
  /// Weight decay spares norms, biases and embeddings of one dimension, as transformers does.
  Optimizer(model::Model& model, const StageRecipe& stage);

  /// Norm of all gradients, in double. A parameter without a gradient counts as zero.
  double gradient_norm() const;
  /// One step at `share` of each rate; gradients are multiplied by `gradient_scale` first, and dropped afterwards.
  void step(double share, double gradient_scale);
  /// Drops all gradients.
  void clear_gradients();

  int64_t steps() const { return steps_; }
  int64_t trained_parameters() const;
  /// Rates by part at `share`.
  std::map<std::string, double> rates(double share) const;

  /// Moments by name, and in bf16 the fp32 weights as `weight.<name>`.
  std::map<std::string, at::Tensor> state() const;
  /// Puts state() back; throws Error naming a tensor that is missing or has another shape.
  void restore(const std::map<std::string, at::Tensor>& state, int64_t steps);
  /// The fp32 weight of a parameter the model holds in bf16; undefined when the model's own is fp32.
  at::Tensor master(const std::string& name) const;

 private:
  struct Entry {
    std::string name;
    std::string part;
    at::Tensor parameter;      ///< the model's
    at::Tensor master;         ///< fp32, undefined when the parameter is
    at::Tensor first, second;  ///< moments, fp32 (fp64 for an fp64 model)
    double rate = 0, decay = 0;
  };
  StageRecipe stage_;
  std::vector<Entry> entries_;
  int64_t steps_ = 0;
};

}  // namespace ocelli::train
