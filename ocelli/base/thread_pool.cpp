#include "ocelli/base/thread_pool.h"

#include <system_error>
#include <utility>

#include "ocelli/base/error.h"

namespace ocelli {

ThreadPool::ThreadPool(int threads) {
  require(threads >= 1, "thread_pool: {} threads, expected at least 1", threads);
  threads_.reserve(static_cast<size_t>(threads));
  try {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  } catch (const std::system_error& error) {
    // With at least one thread all work still gets done.
    if (threads_.empty()) fail("thread_pool: can't start a thread: {}", error.what());
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::enqueue(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
  }
  ready_.notify_one();
}

void ThreadPool::run() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();  // a packaged_task: exceptions go into its future
  }
}

}  // namespace ocelli
