#include "ocelli/base/cpu.h"

#include <gmock/gmock.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "ocelli/base/test_support.h"

namespace ocelli {
namespace {

using testing::HasSubstr;

/// Sets variables and puts the old ones back.
class CpuEnvironment : public testing::Test {
 protected:
  CpuEnvironment() {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      before_.emplace_back(name, value == nullptr ? std::optional<std::string>() : value);
      unsetenv(name);
    }
  }
  ~CpuEnvironment() override {
    for (const auto& [name, value] : before_) value ? setenv(name, value->c_str(), 1) : unsetenv(name);
  }
  static std::string get(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  }

 private:
  static constexpr const char* kNames[] = {"OCELLI_ISA", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS"};
  std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

TEST(CpuInfo, KnowsThisMachine) {
  const CpuInfo& info = cpu_info();
  EXPECT_FALSE(info.model.empty());
  EXPECT_GE(info.logical_cores, 1);
  EXPECT_LE(info.logical_cores, static_cast<int>(std::thread::hardware_concurrency()));
  EXPECT_GT(info.memory_bytes, 64 << 20);
  EXPECT_TRUE(info.avx2 || !info.avx512);
  EXPECT_TRUE(info.avx512 || !info.avx512_vnni);
}

TEST_F(CpuEnvironment, WithoutAWishTheBestIsused) {
  EXPECT_EQ(available_isas().front(), Isa::kScalar);
  EXPECT_EQ(active_isa(), available_isas().back());
  apply_isa_to_environment();
  EXPECT_EQ(get("ATEN_CPU_CAPABILITY"), "");
}

TEST_F(CpuEnvironment, EachAvailableIsaCanBeForced) {
  for (const Isa isa : available_isas()) {
    setenv("OCELLI_ISA", std::string(name_of(isa)).c_str(), 1);
    EXPECT_EQ(active_isa(), isa);
    EXPECT_EQ(bf16_is_native(), isa == Isa::kAvx512Bf16);
  }
}

TEST_F(CpuEnvironment, ForcedIsaSetsTheSwitchesOfLibTorch) {
  setenv("OCELLI_ISA", "scalar", 1);
  apply_isa_to_environment();
  EXPECT_EQ(get("ATEN_CPU_CAPABILITY"), "default");
  EXPECT_EQ(get("ONEDNN_MAX_CPU_ISA"), "SSE41");
  if (!cpu_info().avx2) GTEST_SKIP() << "no AVX2 here";
  setenv("OCELLI_ISA", "avx2", 1);
  apply_isa_to_environment();
  EXPECT_EQ(get("ATEN_CPU_CAPABILITY"), "avx2");
  EXPECT_EQ(get("ONEDNN_MAX_CPU_ISA"), "AVX2");
  EXPECT_EQ(get("MKL_ENABLE_INSTRUCTIONS"), "AVX2");
  if (!cpu_info().avx512_vnni) GTEST_SKIP() << "no AVX-512 VNNI here";
  setenv("OCELLI_ISA", "avx512_vnni", 1);
  apply_isa_to_environment();
  EXPECT_EQ(get("ATEN_CPU_CAPABILITY"), "avx512");
  EXPECT_EQ(get("ONEDNN_MAX_CPU_ISA"), "AVX512_CORE_VNNI");
  EXPECT_EQ(get("MKL_ENABLE_INSTRUCTIONS"), "AVX512");
}

TEST_F(CpuEnvironment, UnknownOrAbsentIsaIsAUsageErrorThatListsTheOthers) {
  setenv("OCELLI_ISA", "mmx", 1);
  EXPECT_THROW(active_isa(), UsageError);
  EXPECT_THAT(test::error_of([] { active_isa(); }),
              HasSubstr("OCELLI_ISA is 'mmx', which isn't known; this machine has: scalar"));
  setenv("OCELLI_ISA", cpu_info().neon ? "avx2" : "neon", 1);
  EXPECT_THAT(test::error_of([] { active_isa(); }), HasSubstr("which this machine can't run"));
  EXPECT_THROW(apply_isa_to_environment(), UsageError);
}

}  // namespace
}  // namespace ocelli
