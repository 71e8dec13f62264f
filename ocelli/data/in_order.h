#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <future>

#include "ocelli/base/thread_pool.h"

namespace ocelli::data {

/// Calls make(0) … make(count - 1) on `threads` threads and use(i, result) for each on this one, in order. At most a few results
/// per thread wait, which bounds memory. What either throws ends the work.
template <typename Make, typename Use>
void for_each_in_order(int64_t count, int threads, const Make& make, const Use& use) {
  ThreadPool pool(std::max(threads, 1));
  const int64_t ahead = 4 * static_cast<int64_t>(pool.size());
  std::deque<std::future<decltype(make(int64_t{0}))>> waiting;
  int64_t submitted = 0;
  for (int64_t i = 0; i < count; ++i) {
    for (; submitted < std::min(count, i + ahead); ++submitted) {
      waiting.push_back(pool.submit([&make, submitted] { return make(submitted); }));
    }
    auto result = waiting.front().get();
    waiting.pop_front();
    use(i, std::move(result));
  }
}

}  // namespace ocelli::data
