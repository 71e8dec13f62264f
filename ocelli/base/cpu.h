#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli {

/// Instruction sets kernels are written for, each including the ones before it on its architecture.
enum class Isa : uint8_t { kScalar, kAvx2, kAvx512, kAvx512Vnni, kAvx512Bf16, kNeon };

struct CpuInfo {
  std::string model;      ///< as the system names it
  int logical_cores = 1;  ///< this process may run on
  bool avx2 = false, avx512 = false, avx512_vnni = false, avx512_bf16 = false, amx_bf16 = false;
  bool neon = false, dotprod = false, i8mm = false;
  int64_t l2_bytes = 0, l3_bytes = 0;  ///< 0 when unknown
  int64_t memory_bytes = 0;
};

/// Read once.
const CpuInfo& cpu_info();

std::string_view name_of(Isa isa);
/// What this machine can run, kScalar first.
std::vector<Isa> available_isas();
/// The best one, unless OCELLI_ISA names another; throws UsageError when it names one that is unknown or absent.
Isa active_isa();
/// Sets LibTorch's own switches (ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA, MKL_ENABLE_INSTRUCTIONS) to what OCELLI_ISA asks for.
/// Must run before LibTorch's libraries are used; a no-op without OCELLI_ISA.
void apply_isa_to_environment();
/// bf16 matrix products run natively (AVX-512 bf16 or AMX), under OCELLI_ISA too.
bool bf16_is_native();

}  // namespace ocelli
