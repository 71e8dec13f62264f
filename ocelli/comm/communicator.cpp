#include "ocelli/comm/communicator.h"

#include <cstring>

#include "ocelli/base/error.h"

namespace ocelli::comm {
namespace {

bool reducible(DType type) {
  return type == DType::kF32 || type == DType::kF64 || type == DType::kBF16 || type == DType::kI64;
}

bool overlap(const void* a, int64_t a_bytes, const void* b, int64_t b_bytes) {
  const auto a_begin = reinterpret_cast<uintptr_t>(a);
  const auto b_begin = reinterpret_cast<uintptr_t>(b);
  return a_begin < b_begin + static_cast<uintptr_t>(b_bytes) && b_begin < a_begin + static_cast<uintptr_t>(a_bytes);
}

class SingleCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }

 protected:
  void run(const Collective& call) override {
    const std::string fault = fault_in(call, 0, 1);
    if (!fault.empty()) throw Error(fault);
    if (call.output.data != call.input.data && call.output.count > 0) {
      std::memcpy(call.output.data, call.input.data, static_cast<size_t>(call.output.bytes()));
    }
  }
};

}  // namespace

std::string_view name_of(Collective::Kind kind) {
  switch (kind) {
    case Collective::Kind::kBarrier:
      return "barrier";
    case Collective::Kind::kAllReduce:
      return "all_reduce";
    case Collective::Kind::kBroadcast:
      return "broadcast";
    case Collective::Kind::kAllGather:
      return "all_gather";
    case Collective::Kind::kReduceScatter:
      return "reduce_scatter";
  }
  return "unknown";
}

std::string fault_in(const Collective& call, int rank, int size) {
  using Kind = Collective::Kind;
  const std::string_view name = name_of(call.kind);
  if (call.kind == Kind::kBarrier) return {};
  for (const ConstBuffer& buffer : {call.input, ConstBuffer(call.output)}) {
    if (buffer.count < 0) return fmt::format("{}: rank {} gives {} elements, expected 0 or more", name, rank, buffer.count);
    if (buffer.count > 0 && buffer.data == nullptr) {
      return fmt::format("{}: rank {} gives a null pointer for {} elements", name, rank, buffer.count);
    }
  }
  if (call.input.dtype != call.output.dtype) {
    return fmt::format("{}: rank {} reads {} and writes {}, expected one type", name, rank, name_of(call.input.dtype),
                       name_of(call.output.dtype));
  }
  const bool reduces = call.kind == Kind::kAllReduce || call.kind == Kind::kReduceScatter;
  if (reduces && !reducible(call.input.dtype)) {
    return fmt::format("{}: rank {} gives {}, expected F32, F64, BF16 or I64", name, rank, name_of(call.input.dtype));
  }
  if (call.kind == Kind::kBroadcast && (call.root < 0 || call.root >= size)) {
    return fmt::format("broadcast: rank {} names root {}, expected 0 to {}", rank, call.root, size - 1);
  }
  if (call.kind == Kind::kAllReduce || call.kind == Kind::kBroadcast) return {};

  const bool gathers = call.kind == Kind::kAllGather;
  const int64_t part = gathers ? call.input.count : call.output.count;
  const int64_t whole = gathers ? call.output.count : call.input.count;
  // Divided rather than multiplied: part * size can overflow.
  if (whole % size != 0 || whole / size != part) {
    return fmt::format("{}: rank {} gives {} elements in and {} out, expected {} to be {} times {}", name, rank, call.input.count,
                       call.output.count, gathers ? "out" : "in", size, gathers ? "in" : "out");
  }
  const auto* whole_data = static_cast<const std::byte*>(gathers ? call.output.data : call.input.data);
  const auto* part_data = static_cast<const std::byte*>(gathers ? call.input.data : call.output.data);
  const int64_t part_bytes = part * size_of(call.input.dtype);
  if (part > 0 && part_data != whole_data + rank * part_bytes && overlap(part_data, part_bytes, whole_data, part_bytes * size)) {
    return fmt::format("{}: rank {}'s input and output overlap, expected apart or rank {}'s own part of the larger", name, rank,
                       rank);
  }
  return {};
}

void Communicator::barrier() {
  run({});
}

void Communicator::all_reduce(Buffer buffer, ReduceOp op) {
  run({.kind = Collective::Kind::kAllReduce, .input = buffer, .output = buffer, .op = op});
}

void Communicator::broadcast(Buffer buffer, int root) {
  run({.kind = Collective::Kind::kBroadcast, .input = buffer, .output = buffer, .root = root});
}

void Communicator::all_gather(ConstBuffer input, Buffer output) {
  run({.kind = Collective::Kind::kAllGather, .input = input, .output = output});
}

void Communicator::reduce_scatter(ConstBuffer input, Buffer output, ReduceOp op) {
  run({.kind = Collective::Kind::kReduceScatter, .input = input, .output = output, .op = op});
}

Communicator& single() {
  static SingleCommunicator communicator;
  return communicator;
}

}  // namespace ocelli::comm
