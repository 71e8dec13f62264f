#pragma once

#include <chrono>

namespace ocelli {

/// Wall time since it was made, by the steady clock.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
  double milliseconds() const { return seconds() * 1000; }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace ocelli
