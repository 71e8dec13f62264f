#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

namespace ocelli::nn {

/// Splits [0, n) into at most one chunk per thread, each of at least `least` items, and runs `work(chunk, begin, end)` over them.
/// The split depends on n, `least` and the thread count alone, so sums taken per chunk repeat bit for bit.
/// Returns the number of chunks.
template <typename Work>
int64_t parallel_chunks(int64_t n, int64_t least, const Work& work) {
  const int64_t chunks = std::clamp<int64_t>(n / std::max<int64_t>(least, 1), 1, at::get_num_threads());
  if (chunks == 1) {
    work(int64_t{0}, int64_t{0}, n);
    return 1;
  }
  at::parallel_for(0, chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) work(chunk, n * chunk / chunks, n * (chunk + 1) / chunks);
  });
  return chunks;
}

}  // namespace ocelli::nn
