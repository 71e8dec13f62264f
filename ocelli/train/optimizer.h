#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ocelli/model/model.h"
#include "ocelli/train/recipe.h"

namespace ocelli::train {

/// fp32 weights behind a model that computes in bf16, by parameter name.
using Masters = std::map<std::string, at::Tensor>;

/// The weights of every part a stage of the recipe trains, to be taken before the model is cast: they outlive stages, so that
/// nothing is rounded at their ends. Empty where the model stays fp32.
Masters masters_of(const model::Model& model, const std::vector<StageRecipe>& stages, at::ScalarType compute);

/// AdamW over the parts a stage trains, each with its rate. In bf16 it updates the fp32 weights, and writes one bf16 copy for the
/// model to compute with after every step. State is kept by parameter name.
class Optimizer {
 public:
  /// Marks trained parameters as requiring gradients and all others as not.
  /// Weight decay spares norms, biases and embeddings of one dimension, as transformers does.
  /// `masters` holds the fp32 weight of every parameter it trains that isn't fp32 itself, and is updated in place.
  Optimizer(model::Model& model, const StageRecipe& stage, const Masters& masters = {});

  /// Norm of all gradients, in double. A parameter without a gradient counts as zero.
  double gradient_norm() const;
  /// One step at `share` of each rate; gradients are multiplied by `gradient_scale` first, and dropped afterwards.
  void step(double share, double gradient_scale);
  /// Drops all gradients.
  void clear_gradients();

  int64_t steps() const { return steps_; }
  /// Rates by part at `share`.
  std::map<std::string, double> rates(double share) const;

  /// Moments by name.
  std::map<std::string, at::Tensor> state() const;
  /// Puts state() back; throws Error naming a tensor that is missing or has another shape.
  void restore(const std::map<std::string, at::Tensor>& state, int64_t steps);

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
