#pragma once

#include <cstdint>
#include <span>

#include "ocelli/comm/communicator.h"

namespace ocelli::comm {

/// outputs[*][begin, end) = the reduction of inputs[*][begin, end), added in the order of `inputs`. An output may be one of the
/// inputs. `dtype` is F32, F64, BF16 (fp32 inside, rounded once to nearest even) or I64. Offsets count elements.
/// outputs[k] receives element i at `i - output_offset`.
void reduce(std::span<const void* const> inputs, std::span<void* const> outputs, DType dtype, ReduceOp op, int64_t begin,
            int64_t end, int64_t output_offset = 0);

}  // namespace ocelli::comm
