#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <cstdio>

#include "ocelli/base/cpu.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/base/version.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/kernels/dispatch.h"
#include "ocelli/report/format.h"
#include "ocelli/report/table.h"

namespace ocelli::cli {
namespace {

/// Multiply-adds per second of a 1024^3 product: what this machine's matrix units reach through LibTorch.
double gmacs(at::ScalarType dtype) {
  const at::Tensor a = at::rand({1024, 1024}).to(dtype), b = at::rand({1024, 1024}).to(dtype);
  at::matmul(a, b);
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const Stopwatch watch;
    at::matmul(a, b);
    best = std::min(best, watch.seconds());
  }
  return 1024.0 * 1024.0 * 1024.0 / best / 1e9;
}

int doctor(const RunOptions& run, bool json) {
  run.apply();
  const CpuInfo& cpu = cpu_info();
  OrderedJson isas = OrderedJson::array();
  std::string isa_list;
  for (const Isa isa : available_isas()) {
    isas.push_back(name_of(isa));
    isa_list += (isa_list.empty() ? "" : ", ") + std::string(name_of(isa));
  }
  const at::InferenceMode inference;
  const double fp32 = gmacs(at::kFloat), bf16 = gmacs(at::kBFloat16);
  if (json) {
    print_json({{"ocelli", kVersion},
                {"torch", TORCH_VERSION},
                {"cpu", cpu.model},
                {"cores", cpu.logical_cores},
                {"threads", at::get_num_threads()},
                {"memory_bytes", cpu.memory_bytes},
                {"isas", isas},
                {"isa", name_of(kernels::running_isa())},
                {"amx_bf16", cpu.amx_bf16},
                {"bf16_is_native", bf16_is_native()},
                {"precision_auto", bf16_is_native() ? "bf16" : "fp32"},
                {"fp32_gmacs", fp32},
                {"bf16_gmacs", bf16},
                {"cuda", false}});
    return 0;
  }
  report::Table table({"what", "value"});
  table.add_row({"ocelli", kVersion});
  table.add_row({"LibTorch", TORCH_VERSION});
  table.add_row({"processor", cpu.model});
  table.add_row({"cores, threads", fmt::format("{}, {}", cpu.logical_cores, at::get_num_threads())});
  table.add_row({"memory", report::bytes(static_cast<double>(cpu.memory_bytes))});
  table.add_row({"instruction sets", isa_list});
  table.add_row({"kernels run with", std::string(name_of(kernels::running_isa()))});
  table.add_row({"bf16", bf16_is_native() ? (cpu.amx_bf16 ? "native (AMX)" : "native (AVX-512)") : "emulated"});
  table.add_row({"precision auto is", bf16_is_native() ? "bf16" : "fp32"});
  table.add_row({"matrix products", fmt::format("fp32 {:.0f} GMAC/s, bf16 {:.0f} GMAC/s", fp32, bf16)});
  table.add_row({"CUDA", "not supported yet"});
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  auto run = std::make_shared<RunOptions>();
  auto json = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand("doctor", "what this machine has and what ocelli makes of it");
  verb->add_flag("--json", *json, "one line of JSON");
  run->add_to(*verb);
  verb->callback([run, json, &action] { action = [run, json] { return doctor(*run, *json); }; });
}

}  // namespace ocelli::cli
