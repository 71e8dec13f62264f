#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <string>

#include "ocelli/base/thread_pool.h"
#include "ocelli/data/encoder.h"
#include "ocelli/data/mixture.h"

namespace ocelli::data {

/// Prepares a mixture's draws ahead of the training thread, in their order whatever the number of threads. Threads read, decode,
/// resize and tokenize; they never touch tensors.
class Loader {
 public:
  struct Item {
    int64_t position = 0;
    Draw draw;
    std::shared_ptr<const EncodedSample> sample;  ///< null when the sample is faulty …
    std::string fault;                            ///< … and why
  };

  /// Starts at draw `position`. `ahead`: most draws prepared and not yet taken, which bounds memory. `mixture` and `encoder` must
  /// outlive it.
  Loader(const Mixture& mixture, const SampleEncoder& encoder, int64_t position, int threads, int64_t ahead);

  /// The next draw; waits for it.
  Item next();
  /// Seconds next() has waited in all.
  double waited_seconds() const { return waited_seconds_; }

 private:
  void submit();
  const Mixture& mixture_;
  const SampleEncoder& encoder_;
  int64_t next_position_;
  std::deque<std::future<Item>> queue_;
  double waited_seconds_ = 0;
  ThreadPool pool_;  ///< last: joined before what its jobs use goes away
};

}  // namespace ocelli::data
