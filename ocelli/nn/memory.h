#pragma once

#include <cstdint>

namespace ocelli::nn {

/// Bytes held by tensors on the CPU, as counted by our allocator.
struct MemoryUse {
  int64_t live = 0;
  int64_t peak = 0;  ///< since start or reset_peak_memory()
};

/// Makes LibTorch allocate through a counting allocator of 64-byte-aligned blocks, and keeps freed memory in the process for the
/// next step rather than returning it page by page. Call once, before the first tensor.
void install_counting_allocator();
MemoryUse memory_use();
void reset_peak_memory();

/// Resident bytes of this process, and of those the anonymous ones (not backed by a mapped file), from /proc/self/status; 0 where
/// unknown.
int64_t resident_bytes();
int64_t anonymous_resident_bytes();
/// The largest resident size so far.
int64_t peak_resident_bytes();

}  // namespace ocelli::nn
