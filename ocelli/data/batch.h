#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "ocelli/data/encoder.h"
#include "ocelli/model/model.h"

namespace ocelli::data {

/// Samples laid end to end, without padding: inputs, and for each row that is trained on the id that follows it.
struct Batch {
  model::ModelInputs inputs;     ///< output_rows: the rows that are trained on
  at::Tensor labels;             ///< [R] int64, one per output row
  int64_t tokens = 0;            ///< rows in all
  int64_t samples = 0;           ///< answered questions or conversations
  int64_t pictures = 0;
};

/// Every continuation attends to its sample's prefix and causally to itself; positions go on behind the prefix for each.
/// `placeholder`: the id of visual tokens.
Batch make_batch(std::span<const std::shared_ptr<const EncodedSample>> samples, int64_t placeholder);

}  // namespace ocelli::data
