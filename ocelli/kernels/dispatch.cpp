#include "ocelli/kernels/dispatch.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "ocelli/base/error.h"

namespace ocelli::kernels {
namespace {

Isa cut_to_ours(Isa isa) {
  return isa == Isa::kAvx512Vnni || isa == Isa::kAvx512Bf16 ? Isa::kAvx512 : isa;
}

std::atomic<Isa>& running() {
  static std::atomic<Isa> isa{cut_to_ours(active_isa())};
  return isa;
}

}  // namespace

Isa running_isa() {
  return running().load(std::memory_order_relaxed);
}

void set_isa(Isa isa) {
  const std::vector<Isa> available = available_isas();
  if (std::find(available.begin(), available.end(), isa) == available.end()) {
    std::string names;
    for (const Isa one : available) names += (names.empty() ? "" : ", ") + std::string(name_of(one));
    fail("kernels: this machine lacks {}; it has {}", name_of(isa), names);
  }
  running().store(cut_to_ours(isa), std::memory_order_relaxed);
}

}  // namespace ocelli::kernels
