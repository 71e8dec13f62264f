#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace ocelli {

/// A fixed set of threads working through a queue in order. For work outside ATen: decoding, tokenizing, files.
class ThreadPool {
 public:
  /// `threads` >= 1.
  explicit ThreadPool(int threads);
  /// Finishes what is queued, then joins.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(threads_.size()); }

  /// Queues `work`; an exception it throws is rethrown by the future's get().
  template <typename Work>
  std::future<std::invoke_result_t<Work>> submit(Work work) {
    auto task = std::make_shared<std::packaged_task<std::invoke_result_t<Work>()>>(std::move(work));
    auto result = task->get_future();
    enqueue([task] { (*task)(); });
    return result;
  }

 private:
  void enqueue(std::function<void()> job);
  void run();
  std::vector<std::thread> threads_;
  std::deque<std::function<void()>> queue_;
  std::mutex mutex_;
  std::condition_variable ready_;
  bool closing_ = false;
};

}  // namespace ocelli
