#include "ocelli/kernels/scratch.h"

#include <memory>
#include <new>

namespace ocelli::kernels {
namespace {

constexpr std::align_val_t kAlignment{64};

struct AlignedDelete {
  void operator()(void* memory) const { ::operator delete(memory, kAlignment); }
};
struct Buffer {
  std::unique_ptr<void, AlignedDelete> memory;
  int64_t bytes = 0;
};

}  // namespace

void* scratch_bytes(int64_t bytes) {
  thread_local Buffer buffer;
  if (buffer.bytes < bytes) {
    buffer.memory.reset(::operator new(static_cast<size_t>(bytes), kAlignment));
    buffer.bytes = bytes;
  }
  return buffer.memory.get();
}

}  // namespace ocelli::kernels
