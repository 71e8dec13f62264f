#pragma once

#include <vector>

#include "ocelli/kernels/dispatch.h"

namespace ocelli::kernels {

/// Runs `body(isa)` with every instruction set the machine has, scalar first, then goes back to the one that ran before.
template <typename Body>
void with_every_isa(const Body& body) {
  const Isa before = running_isa();
  for (const Isa isa : available_isas()) {
    set_isa(isa);
    if (running_isa() == isa) body(isa);
  }
  set_isa(before);
}

}  // namespace ocelli::kernels
