#include "ocelli/comm/thread_communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <thread>

#include "ocelli/base/error.h"

namespace ocelli::comm {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

/// Runs `body` on one thread a rank and returns each rank's error, empty where there was none.
std::vector<std::string> on_each_rank(std::vector<std::unique_ptr<Communicator>>& group,
                                      const std::function<void(Communicator&)>& body) {
  std::vector<std::string> errors(group.size());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < group.size(); ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(*group[rank]);
      } catch (const Error& error) {
        errors[rank] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

uint16_t to_bf16(float value) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
}
Buffer bf16_buffer(std::vector<uint16_t>& values) {
  return {values.data(), std::ssize(values), DType::kBF16};
}

class ThreadGroup : public testing::TestWithParam<int> {
 protected:
  std::vector<std::unique_ptr<Communicator>> group = make_thread_group(GetParam(), milliseconds(60'000));
  void run(const std::function<void(Communicator&)>& body) { EXPECT_THAT(on_each_rank(group, body), Each("")); }
};

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadGroup, testing::Values(1, 2, 3, 4),
                         [](const auto& info) { return std::to_string(info.param); });

TEST_P(ThreadGroup, KnowsRankAndSize) {
  for (int rank = 0; rank < GetParam(); ++rank) {
    EXPECT_EQ(group[rank]->rank(), rank);
    EXPECT_EQ(group[rank]->size(), GetParam());
  }
}

// Counts around the 64-byte lines and the blocks the work is cut by, fewer elements than ranks included.
TEST_P(ThreadGroup, AllReduceSumsOnEveryRank) {
  for (const int64_t count : {0, 1, 3, 15, 16, 17, 64, 1023, 1024, 5000}) {
    run([&](Communicator& comm) {
      std::vector<float> f32(count);
      std::vector<double> f64(count);
      std::vector<int64_t> i64(count);
      for (int64_t i = 0; i < count; ++i) f32[i] = f64[i] = i64[i] = (comm.rank() + 1) * 1000 + i;
      comm.all_reduce(buffer_of(f32));
      comm.all_reduce(buffer_of(f64));
      comm.all_reduce(buffer_of(i64));
      const int n = comm.size();
      for (int64_t i = 0; i < count; ++i) {
        const int64_t expected = n * (n + 1) / 2 * 1000 + n * i;
        ASSERT_EQ(f32[i], expected) << i;
        ASSERT_EQ(f64[i], expected) << i;
        ASSERT_EQ(i64[i], expected) << i;
      }
    });
  }
}

TEST_P(ThreadGroup, AllReduceAddsInTheOrderOfRanks) {
  std::vector<std::vector<float>> inputs(GetParam(), std::vector<float>(3000));
  uint32_t state = 1;
  for (auto& input : inputs) {
    for (float& value : input) {
      state = state * 1664525U + 1013904223U;
      value = std::ldexp(static_cast<float>(state), -static_cast<int>(state >> 28));
    }
  }
  std::vector<float> expected = inputs[0];
  for (int rank = 1; rank < GetParam(); ++rank) {
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += inputs[rank][i];
  }
  run([&](Communicator& comm) {
    std::vector<float> values = inputs[comm.rank()];
    comm.all_reduce(buffer_of(values));
    EXPECT_EQ(values, expected);
  });
}

TEST_P(ThreadGroup, Bf16IsAddedInFloat32AndRoundedOnce) {
  // 256 + 1 is no bf16 number and rounds to 256: added in bf16, the ones would vanish.
  run([&](Communicator& comm) {
    std::vector<uint16_t> values(40, to_bf16(comm.rank() == 0 ? 256.0F : 1.0F));
    comm.all_reduce(bf16_buffer(values));
    const float exact = 256.0F + static_cast<float>(comm.size() - 1);
    const float nearest_even = 2 * std::nearbyint(exact / 2);
    EXPECT_THAT(values, Each(to_bf16(nearest_even)));
  });
}

TEST_P(ThreadGroup, MaxTakesTheLargestAndKeepsNan) {
  run([&](Communicator& comm) {
    const int last = comm.size() - 1;
    std::vector<float> f32 = {static_cast<float>(-comm.rank() - 1), comm.rank() == last ? NAN : 7.0F, -INFINITY,
                              comm.rank() == 0 ? NAN : 7.0F};
    std::vector<int64_t> i64 = {-comm.rank() - 1, comm.rank(), std::numeric_limits<int64_t>::min()};
    std::vector<uint16_t> bf16 = {to_bf16(static_cast<float>(-comm.rank() - 1))};
    comm.all_reduce(buffer_of(f32), ReduceOp::kMax);
    comm.all_reduce(buffer_of(i64), ReduceOp::kMax);
    comm.all_reduce(bf16_buffer(bf16), ReduceOp::kMax);
    EXPECT_EQ(f32[0], -1);
    EXPECT_TRUE(std::isnan(f32[1]));
    EXPECT_EQ(f32[2], -INFINITY);
    EXPECT_TRUE(std::isnan(f32[3]));
    EXPECT_THAT(i64, ElementsAre(-1, last, std::numeric_limits<int64_t>::min()));
    EXPECT_THAT(bf16, ElementsAre(to_bf16(-1)));
  });
}

TEST_P(ThreadGroup, BroadcastGivesTheRootsBytesFromEveryRoot) {
  run([&](Communicator& comm) {
    for (int root = 0; root < comm.size(); ++root) {
      std::vector<uint8_t> bytes(777, static_cast<uint8_t>(comm.rank() * 10 + root));
      comm.broadcast({bytes.data(), std::ssize(bytes), DType::kU8}, root);
      EXPECT_THAT(bytes, Each(root * 10 + root));
    }
  });
}

TEST_P(ThreadGroup, AllGatherPutsRanksInOrder) {
  run([&](Communicator& comm) {
    std::vector<int64_t> mine = {comm.rank() * 2, comm.rank() * 2 + 1};
    std::vector<int64_t> all(2 * comm.size(), -1);
    std::vector<int64_t> expected(all.size());
    std::iota(expected.begin(), expected.end(), 0);
    comm.all_gather(buffer_of(mine), buffer_of(all));
    EXPECT_EQ(all, expected);

    std::vector<int64_t> in_place(2 * comm.size(), -1);
    const std::span<int64_t> own(in_place.data() + 2 * comm.rank(), 2);
    std::copy(mine.begin(), mine.end(), own.begin());
    comm.all_gather(buffer_of(own), buffer_of(in_place));
    EXPECT_EQ(in_place, expected);
  });
}

TEST_P(ThreadGroup, ReduceScatterGivesEachRankItsPart) {
  constexpr int64_t kPart = 1500;
  run([&](Communicator& comm) {
    const int n = comm.size();
    std::vector<double> input(n * kPart);
    for (int64_t i = 0; i < std::ssize(input); ++i) input[i] = (comm.rank() + 1.0) * static_cast<double>(i);
    std::vector<double> expected(kPart);
    for (int64_t i = 0; i < kPart; ++i) expected[i] = n * (n + 1) / 2.0 * static_cast<double>(comm.rank() * kPart + i);

    std::vector<double> apart(kPart);
    comm.reduce_scatter(buffer_of(input), buffer_of(apart));
    EXPECT_EQ(apart, expected);

    const std::span<double> own(input.data() + comm.rank() * kPart, kPart);
    comm.reduce_scatter(buffer_of(input), buffer_of(own));
    EXPECT_TRUE(std::equal(own.begin(), own.end(), expected.begin()));
  });
}

TEST_P(ThreadGroup, BarrierWaitsForEveryRank) {
  std::vector<int> reached(GetParam(), 0);  // plain ints: ThreadSanitizer sees whether the barrier orders memory
  run([&](Communicator& comm) {
    for (int round = 1; round <= 100; ++round) {
      reached[comm.rank()] = round;
      comm.barrier();
      EXPECT_THAT(reached, Each(round));
      comm.barrier();
    }
  });
}

TEST(ThreadGroupFaults, DifferentCountsAreTheSameErrorOnEveryRank) {
  auto group = make_thread_group(3, milliseconds(60'000));
  const auto errors = on_each_rank(group, [](Communicator& comm) {
    std::vector<float> values(comm.rank() == 2 ? 5 : 4);
    comm.all_reduce(buffer_of(values));
  });
  EXPECT_THAT(errors, Each(AllOf(HasSubstr("rank 0 calls all_reduce of 4 F32"), HasSubstr("rank 2 calls all_reduce of 5 F32"))));
}

TEST(ThreadGroupFaults, DifferentCallsTypesOperationsAndRootsAreErrors) {
  auto group = make_thread_group(2, milliseconds(60'000));
  std::vector<float> a(2), b(2);
  const auto differ = [&](const std::function<void(Communicator&)>& first, const std::function<void(Communicator&)>& second) {
    EXPECT_THAT(on_each_rank(group, [&](Communicator& comm) { comm.rank() == 0 ? first(comm) : second(comm); }),
                Each(HasSubstr("every rank must make the same call")));
  };
  differ([&](Communicator& comm) { comm.all_reduce(buffer_of(a)); }, [&](Communicator& comm) { comm.barrier(); });
  differ([&](Communicator& comm) { comm.all_reduce(buffer_of(a)); },
         [&](Communicator& comm) { comm.all_reduce(buffer_of(b), ReduceOp::kMax); });
  differ([&](Communicator& comm) { comm.broadcast(buffer_of(a), 0); },
         [&](Communicator& comm) { comm.broadcast(buffer_of(b), 1); });
  differ([&](Communicator& comm) { comm.all_reduce(buffer_of(a)); },
         [&](Communicator& comm) {
           comm.all_reduce({b.data(), 2, DType::kBF16});
         });
}

TEST(ThreadGroupFaults, OneRanksWrongArgumentsReachEveryRankAndTheGroupGoesOn) {
  auto group = make_thread_group(2, milliseconds(60'000));
  const auto errors = on_each_rank(group, [](Communicator& comm) {
    std::vector<float> mine(4), all(comm.rank() == 1 ? 7 : 8);
    comm.all_gather(buffer_of(mine), buffer_of(all));
  });
  EXPECT_THAT(errors, Each(HasSubstr("all_gather: rank 1 gives 4 elements in and 7 out, expected out to be 2 times in")));
  const auto after = on_each_rank(group, [](Communicator& comm) {
    std::vector<int64_t> one = {1};
    comm.all_reduce(buffer_of(one));
    EXPECT_EQ(one[0], 2);
  });
  EXPECT_THAT(after, Each(""));
}

TEST(ThreadGroupFaults, AMissingRankIsNamedAfterTheTimeout) {
  auto group = make_thread_group(3, milliseconds(50));
  const auto errors = on_each_rank(group, [](Communicator& comm) {
    if (comm.rank() != 1) comm.barrier();
  });
  EXPECT_THAT(errors[0], AllOf(HasSubstr("barrier: rank"), HasSubstr("waited 0.05 s for rank 1")));
  EXPECT_EQ(errors[1], "");
  EXPECT_EQ(errors[2], errors[0]);
  EXPECT_THROW(group[1]->barrier(), Error);  // at once: the group is no longer in step
}

TEST(ThreadGroupFaults, ARankThatLeavesWakesTheOthers) {
  auto group = make_thread_group(2, milliseconds(60'000));
  std::thread leaver([&] { group[1].reset(); });
  try {
    group[0]->barrier();
    FAIL() << "the barrier returned without rank 1";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("rank 1 of 2 has left"));
  }
  leaver.join();
}

TEST(ThreadGroupFaults, AGroupNeedsARank) {
  EXPECT_THROW(make_thread_group(0), Error);
  EXPECT_THROW(make_thread_group(2, milliseconds(0)), Error);
}

}  // namespace
}  // namespace ocelli::comm
