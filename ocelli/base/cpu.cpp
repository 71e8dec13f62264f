#include "ocelli/base/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "ocelli/base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace ocelli {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
  const char* aten;    ///< ATEN_CPU_CAPABILITY
  const char* onednn;  ///< ONEDNN_MAX_CPU_ISA
  const char* mkl;     ///< MKL_ENABLE_INSTRUCTIONS
};

// What LibTorch's libraries call the same step; scalar is the lowest each of them offers.
constexpr std::array<IsaRow, 6> kIsas{{{Isa::kScalar, "scalar", "default", "SSE41", "SSE4_2"},
                                       {Isa::kAvx2, "avx2", "avx2", "AVX2", "AVX2"},
                                       {Isa::kAvx512, "avx512", "avx512", "AVX512_CORE", "AVX512"},
                                       {Isa::kAvx512Vnni, "avx512_vnni", "avx512", "AVX512_CORE_VNNI", "AVX512"},
                                       {Isa::kAvx512Bf16, "avx512_bf16", "avx512", "AVX512_CORE_BF16", "AVX512"},
                                       {Isa::kNeon, "neon", "default", nullptr, nullptr}}};

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string value_in(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t start = line.find_first_not_of(" \t", line.find(':') + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

std::optional<int64_t> to_number(const std::string& text) {
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (end == text.c_str() || value <= 0) return std::nullopt;
  return value;
}

/// The folders of this process's control group (version 2), innermost first.
std::vector<std::string> cgroup_folders() {
  std::vector<std::string> folders;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("0::")) continue;
    std::string path = line.substr(3);
    for (;;) {
      folders.push_back("/sys/fs/cgroup" + (path == "/" ? "" : path));
      const size_t slash = path.rfind('/');
      if (path == "/" || slash == std::string::npos) break;
      path.resize(std::max<size_t>(slash, 1));
    }
  }
  return folders;
}

int logical_cores() {
  int cores = 1;
  // A plain cpu_set_t holds 1024 cores; on a larger machine the call fails and sysconf answers.
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    cores = CPU_COUNT(&set);
  } else {
    cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  }
  for (const std::string& folder : cgroup_folders()) {
    std::istringstream line(first_line(folder + "/cpu.max"));
    std::string quota;
    std::string period;
    if (!(line >> quota >> period)) continue;
    const auto used = to_number(quota);
    const auto of = to_number(period);
    if (used && of) cores = static_cast<int>(std::min<int64_t>(cores, (*used + *of - 1) / *of));
  }
  return std::max(cores, 1);
}

int64_t memory_bytes() {
  int64_t bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  for (const std::string& folder : cgroup_folders()) {
    if (const auto limit = to_number(first_line(folder + "/memory.max"))) bytes = std::min(bytes, *limit);
  }
  return bytes;
}

/// Size of the data or unified cache of `level` as the kernel lists it; 0 when it doesn't.
int64_t cache_bytes(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", index);
    if (to_number(first_line(folder + "level")) != level || first_line(folder + "type") == "Instruction") continue;
    const std::string size = first_line(folder + "size");  // "2048K"
    const auto number = to_number(size);
    if (!number) continue;
    return *number * (size.ends_with('K') ? 1024 : size.ends_with('M') ? 1024 * 1024 : 1);
  }
  const long known = sysconf(level == 2 ? _SC_LEVEL2_CACHE_SIZE : _SC_LEVEL3_CACHE_SIZE);
  return known > 0 ? known : 0;
}

#if defined(__x86_64__)
/// AMX needs tile state enabled by the system, which __builtin_cpu_supports doesn't know on every compiler.
bool has_amx_bf16() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kOsxsave = 1U << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsxsave) == 0) return false;
  constexpr unsigned kAmxBf16 = 1U << 22;
  constexpr unsigned kAmxTile = 1U << 24;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kAmxBf16) == 0 || (d & kAmxTile) == 0) return false;
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kTileState = 3U << 17;
  return (low & kTileState) == kTileState;
}
#endif

void detect_features(CpuInfo& info) {
#if defined(__x86_64__)
  // These ask the system too (XGETBV): a feature whose registers aren't saved counts as absent.
  __builtin_cpu_init();
  info.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  info.avx512 = info.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  info.avx512_vnni = info.avx512 && __builtin_cpu_supports("avx512vnni");
  info.avx512_bf16 = info.avx512 && __builtin_cpu_supports("avx512bf16");
  info.amx_bf16 = info.avx512 && has_amx_bf16();
#elif defined(__aarch64__)
  info.neon = true;  // part of the architecture
  const unsigned long capabilities = getauxval(AT_HWCAP);
  const unsigned long capabilities2 = getauxval(AT_HWCAP2);
  info.dotprod = (capabilities & (1UL << 20)) != 0;  // HWCAP_ASIMDDP
  info.i8mm = (capabilities2 & (1UL << 13)) != 0;    // HWCAP2_I8MM
#endif
}

CpuInfo detect() {
  CpuInfo info;
  detect_features(info);
  info.model = value_in("/proc/cpuinfo", "model name");
  if (info.model.empty()) info.model = "unknown";
  info.logical_cores = logical_cores();
  info.l2_bytes = cache_bytes(2);
  info.l3_bytes = cache_bytes(3);
  info.memory_bytes = memory_bytes();
  return info;
}

const IsaRow& row(Isa isa) {
  return kIsas[static_cast<size_t>(isa)];
}

/// The ISA OCELLI_ISA names; empty when unset.
std::optional<Isa> forced_isa() {
  const char* wanted = std::getenv("OCELLI_ISA");
  if (wanted == nullptr || *wanted == '\0') return std::nullopt;
  const std::vector<Isa> available = available_isas();
  std::string names;
  for (const Isa isa : available) {
    if (name_of(isa) == wanted) return isa;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name_of(isa));
  }
  const bool known = std::any_of(kIsas.begin(), kIsas.end(), [&](const IsaRow& entry) { return entry.name == wanted; });
  throw UsageError(fmt::format("OCELLI_ISA is '{}', which {}; this machine has: {}", wanted,
                               known ? "this machine can't run" : "isn't known", names));
}

}  // namespace

const CpuInfo& cpu_info() {
  static const CpuInfo info = detect();
  return info;
}

std::string_view name_of(Isa isa) {
  return row(isa).name;
}

std::vector<Isa> available_isas() {
  const CpuInfo& info = cpu_info();
  std::vector<Isa> isas{Isa::kScalar};
  if (info.neon) isas.push_back(Isa::kNeon);
  // Each includes the ones before it, so the first that is absent ends the list.
  for (const auto& [isa, present] :
       {std::pair{Isa::kAvx2, info.avx2}, std::pair{Isa::kAvx512, info.avx512}, std::pair{Isa::kAvx512Vnni, info.avx512_vnni},
        std::pair{Isa::kAvx512Bf16, info.avx512_bf16}}) {
    if (!present) break;
    isas.push_back(isa);
  }
  return isas;
}

Isa active_isa() {
  if (const auto forced = forced_isa()) return *forced;
  return available_isas().back();
}

void apply_isa_to_environment() {
  const auto forced = forced_isa();
  if (!forced) return;
  const IsaRow& entry = row(*forced);
  setenv("ATEN_CPU_CAPABILITY", entry.aten, 1);
  if (entry.onednn != nullptr) setenv("ONEDNN_MAX_CPU_ISA", entry.onednn, 1);
  if (entry.mkl != nullptr) setenv("MKL_ENABLE_INSTRUCTIONS", entry.mkl, 1);
}

bool bf16_is_native() {
  const CpuInfo& info = cpu_info();
  if (const auto forced = forced_isa()) return *forced == Isa::kAvx512Bf16;
  return info.avx512_bf16 || info.amx_bf16;
}

}  // namespace ocelli
