#include "ocelli/nn/memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "ocelli/base/error.h"

namespace ocelli::nn {
namespace {

std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> peak_bytes{0};

/// The size of a block stands in one aligned line in front of it.
constexpr size_t kAlignment = 64;

void count(int64_t bytes) {
  const int64_t now = live_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = peak_bytes.load(std::memory_order_relaxed);
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
}

void release(void* data) {
  if (data == nullptr) return;
  char* block = static_cast<char*>(data) - kAlignment;
  int64_t bytes = 0;
  std::memcpy(&bytes, block, sizeof(bytes));
  count(-bytes);
  std::free(block);
}

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device device(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &release, device};
    void* block = nullptr;
    if (bytes > SIZE_MAX - kAlignment || posix_memalign(&block, kAlignment, bytes + kAlignment) != 0) {
      fail("out of memory: {} bytes could not be allocated ({} are in use by tensors)", bytes, live_bytes.load());
    }
    const int64_t size = static_cast<int64_t>(bytes);
    std::memcpy(block, &size, sizeof(size));
    count(size);
    void* data = static_cast<char*>(block) + kAlignment;
    return {data, data, &release, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* destination, const void* source, size_t bytes) const override {
    default_copy_data(destination, source, bytes);
  }
};

int64_t status_bytes(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field, 0) == 0) return std::strtoll(line.c_str() + std::strlen(field), nullptr, 10) * 1024;
  }
  return 0;
}

}  // namespace

void install_counting_allocator() {
  static CountingAllocator allocator;
  // Above the default allocator's priority.
  c10::SetCPUAllocator(&allocator, 1);
  // A training step frees and takes the same blocks again: page faults for each would cost more than the step's small operators.
  mallopt(M_MMAP_THRESHOLD, 256 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

MemoryUse memory_use() {
  return {live_bytes.load(), peak_bytes.load()};
}
void reset_peak_memory() {
  peak_bytes.store(live_bytes.load());
}
int64_t resident_bytes() {
  return status_bytes("VmRSS:");
}
int64_t anonymous_resident_bytes() {
  return status_bytes("RssAnon:");
}
int64_t peak_resident_bytes() {
  return status_bytes("VmHWM:");
}

}  // namespace ocelli::nn
