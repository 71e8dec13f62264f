#pragma once

#include <cstdint>

namespace ocelli::kernels {

/// At least `bytes` of memory of this thread, 64-byte aligned, valid until its next call here. Kept from call to call.
void* scratch_bytes(int64_t bytes);

}  // namespace ocelli::kernels
