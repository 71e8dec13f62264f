#pragma once

#include "ocelli/base/cpu.h"

namespace ocelli::kernels {

/// The instruction set the float kernels run with: active_isa(), cut to what this room has (scalar, AVX2, AVX-512, NEON through
/// scalar). double always runs the scalar definition.
Isa running_isa();
/// For tests and benches: runs with another one. Throws Error when this machine lacks it.
void set_isa(Isa isa);

}  // namespace ocelli::kernels
