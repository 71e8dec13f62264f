#include "ocelli/comm/communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "ocelli/base/error.h"

namespace ocelli::comm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(SingleCommunicator, IsAGroupOfOne) {
  EXPECT_EQ(single().rank(), 0);
  EXPECT_EQ(single().size(), 1);
  single().barrier();
}

TEST(SingleCommunicator, ReducesToItselfAndCopies) {
  std::vector<float> values = {1, 2, 3};
  single().all_reduce(buffer_of(values));
  single().all_reduce(buffer_of(values), ReduceOp::kMax);
  single().broadcast(buffer_of(values));
  EXPECT_THAT(values, ElementsAre(1, 2, 3));
  std::vector<float> copy(3);
  single().all_gather(buffer_of(values), buffer_of(copy));
  EXPECT_THAT(copy, ElementsAre(1, 2, 3));
  values[0] = 9;
  single().reduce_scatter(buffer_of(values), buffer_of(copy));
  EXPECT_THAT(copy, ElementsAre(9, 2, 3));
}

TEST(SingleCommunicator, ChecksArgumentsAsALargerGroupWould) {
  std::vector<float> three(3), two(2);
  EXPECT_THAT(error_of([&] { single().all_gather(buffer_of(three), buffer_of(two)); }), HasSubstr("3 elements in and 2 out"));
  EXPECT_THAT(error_of([&] { single().broadcast(buffer_of(three), 1); }), HasSubstr("names root 1, expected 0 to 0"));
  EXPECT_THAT(error_of([&] { single().all_reduce({three.data(), 6, DType::kF16}); }), HasSubstr("F16, expected F32"));
  EXPECT_THAT(error_of([&] { single().all_reduce({nullptr, 6, DType::kF32}); }), HasSubstr("null pointer for 6"));
  EXPECT_THAT(error_of([&] { single().all_reduce({three.data(), -1, DType::kF32}); }), HasSubstr("-1 elements"));
}

TEST(Communicator, RefusesOverlapUnlessItIsTheRanksOwnPart) {
  std::vector<float> whole(8);
  const auto gather = [&](int64_t offset, int rank) {
    return fault_in({.kind = Collective::Kind::kAllGather,
                     .input = {whole.data() + offset, 2, DType::kF32},
                     .output = {whole.data(), 8, DType::kF32}},
                    rank, 4);
  };
  EXPECT_EQ(gather(2, 1), "");
  EXPECT_THAT(gather(2, 0), HasSubstr("overlap"));
  EXPECT_THAT(gather(1, 0), HasSubstr("overlap"));
}

TEST(Communicator, RefusesSizesThatWouldOverflow) {
  float value = 0;
  const std::string fault = fault_in({.kind = Collective::Kind::kReduceScatter,
                                      .input = {&value, 4, DType::kF32},
                                      .output = {&value, (int64_t{1} << 62) + 1, DType::kF32}},
                                     0, 4);
  EXPECT_THAT(fault, HasSubstr("expected in to be 4 times out"));
}

}  // namespace
}  // namespace ocelli::comm
