#include "ocelli/kernels/dispatch.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/kernels/isa_test.h"

namespace ocelli::kernels {
namespace {

TEST(Dispatch, RunsWhatItIsTold) {
  std::vector<Isa> ran;
  with_every_isa([&](Isa isa) { ran.push_back(isa); });
  ASSERT_FALSE(ran.empty());
  EXPECT_EQ(ran.front(), Isa::kScalar);
  const auto available = available_isas();
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    EXPECT_EQ(std::count(ran.begin(), ran.end(), isa), std::count(available.begin(), available.end(), isa)) << name_of(isa);
  }
}

TEST(Dispatch, CutsNewerSetsToAvx512) {
  const auto available = available_isas();
  if (std::find(available.begin(), available.end(), Isa::kAvx512Vnni) == available.end()) GTEST_SKIP() << "no AVX-512 VNNI here";
  const Isa before = running_isa();
  set_isa(Isa::kAvx512Vnni);
  EXPECT_EQ(running_isa(), Isa::kAvx512);
  set_isa(before);
}

TEST(Dispatch, NamesAnAbsentSetAndThoseThere) {
  const auto available = available_isas();
  const Isa absent = std::find(available.begin(), available.end(), Isa::kNeon) == available.end() ? Isa::kNeon : Isa::kAvx2;
  try {
    set_isa(absent);
    FAIL() << "took an instruction set this machine lacks";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(name_of(absent)), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(name_of(Isa::kScalar)), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace ocelli::kernels
