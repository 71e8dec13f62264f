#include "ocelli/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>

#include "ocelli/base/error.h"

namespace ocelli {
namespace {

TEST(ThreadPool, GivesResults) {
  ThreadPool pool(3);
  EXPECT_EQ(pool.size(), 3);
  std::vector<std::future<int>> results;
  for (int i = 0; i < 100; ++i) results.push_back(pool.submit([i] { return i * i; }));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(results[static_cast<size_t>(i)].get(), i * i);
}

TEST(ThreadPool, RethrowsInGet) {
  ThreadPool pool(1);
  auto broken = pool.submit([]() -> int { throw std::runtime_error("no"); });
  auto next = pool.submit([] { return 1; });
  EXPECT_THROW(broken.get(), std::runtime_error);
  EXPECT_EQ(next.get(), 1);
}

TEST(ThreadPool, OneThreadKeepsTheOrder) {
  std::vector<int> order;
  {
    ThreadPool pool(1);
    for (int i = 0; i < 50; ++i) pool.submit([i, &order] { order.push_back(i); });
  }
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(ThreadPool, DestructorFinishesWhatIsQueued) {
  std::atomic<int> done{0};
  {
    ThreadPool pool(2);
    for (int i = 0; i < 200; ++i) pool.submit([&done] { ++done; });
  }
  EXPECT_EQ(done, 200);
}

TEST(ThreadPool, WorksAtTheSameTime) {
  ThreadPool pool(2);
  std::latch both(2);
  auto first = pool.submit([&] { both.arrive_and_wait(); });
  auto second = pool.submit([&] { both.arrive_and_wait(); });
  first.get();  // hangs, and the test runs out of time, if one waits for the other to end
  second.get();
}

TEST(ThreadPool, TakesWorkThatOnlyMoves) {
  ThreadPool pool(1);
  auto value = std::make_unique<int>(5);
  EXPECT_EQ(pool.submit([value = std::move(value)] { return *value; }).get(), 5);
}

TEST(ThreadPool, RefusesNoThreads) {
  EXPECT_THROW(ThreadPool(0), Error);
}

}  // namespace
}  // namespace ocelli
