#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ocelli/data/encoder.h"
#include "ocelli/model/model.h"

namespace ocelli::data {

/// Samples laid end to end, without padding: inputs, and for each row that is trained on the id that follows it.
struct Batch {
  model::ModelInputs inputs;  ///< output_rows: the rows that are trained on
  at::Tensor labels;          ///< [R] int64, one per output row
  int64_t tokens = 0;         ///< rows in all
  int64_t samples = 0;        ///< answered questions or conversations
  int64_t pictures = 0;
};

/// Every continuation attends to its sample's prefix and causally to itself; positions go on behind the prefix for each.
/// `processor` says how positions rise and whether visual rows have an expert; `token_grids`: see Model::token_grids().
using TokenGrids = std::function<std::vector<image::Grid>(std::span<const model::PixelTiles>)>;
Batch make_batch(std::span<const std::shared_ptr<const EncodedSample>> samples, const model::Processor& processor,
                 const TokenGrids& token_grids);

}  // namespace ocelli::data
