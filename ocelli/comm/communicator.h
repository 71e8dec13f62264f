#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ocelli/base/dtype.h"

namespace ocelli::comm {

/// `count` elements of one type at `data`. Doesn't own them. `data` may be null when `count` is 0.
struct Buffer {
  void* data = nullptr;
  int64_t count = 0;
  DType dtype = DType::kF32;

  int64_t bytes() const { return count * size_of(dtype); }
};

/// The same, for what is only read.
struct ConstBuffer {
  const void* data = nullptr;
  int64_t count = 0;
  DType dtype = DType::kF32;

  ConstBuffer() = default;
  ConstBuffer(const void* data, int64_t count, DType dtype) : data(data), count(count), dtype(dtype) {}
  ConstBuffer(const Buffer& buffer) : data(buffer.data), count(buffer.count), dtype(buffer.dtype) {}  // NOLINT: a view
  int64_t bytes() const { return count * size_of(dtype); }
};

inline Buffer buffer_of(std::span<float> values) {
  return {values.data(), std::ssize(values), DType::kF32};
}
inline Buffer buffer_of(std::span<double> values) {
  return {values.data(), std::ssize(values), DType::kF64};
}
inline Buffer buffer_of(std::span<int64_t> values) {
  return {values.data(), std::ssize(values), DType::kI64};
}

enum class ReduceOp : uint8_t {
  kSum,  ///< int64 wraps around
  kMax,  ///< NaN wins over every number
};

/// One collective call as a rank makes it: what implementations receive and compare between ranks.
struct Collective {
  enum class Kind : uint8_t { kBarrier, kAllReduce, kBroadcast, kAllGather, kReduceScatter };
  Kind kind = Kind::kBarrier;
  ConstBuffer input = {};
  Buffer output = {};  ///< the same memory as `input` for all_reduce and broadcast
  ReduceOp op = ReduceOp::kSum;
  int root = 0;
};

std::string_view name_of(Collective::Kind kind);

/// A group of ranks that work together. One rank is the default (`single()`), so code never asks whether there is one.
///
/// Every rank of the group must make the same calls in the same order, from one thread at a time. Where ranks disagree on the
/// call, the count or the type, or one rank's arguments are wrong, *every* rank throws the same Error and the group stays usable.
/// A rank that doesn't come in time, or has left, is an Error on every rank that waits for it.
///
/// Reductions take F32, F64, BF16 (added in fp32, rounded once) and I64, and add in the order of ranks: the same inputs
/// give the same bits on every rank and in every run. broadcast and all_gather take any type.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;  ///< [0, size)
  virtual int size() const = 0;  ///< >= 1

  /// Returns when every rank has called it.
  void barrier();
  /// buffer[i] becomes the sum or maximum of all ranks' buffer[i], on every rank.
  void all_reduce(Buffer buffer, ReduceOp op = ReduceOp::kSum);
  /// Every rank's buffer becomes `root`'s.
  void broadcast(Buffer buffer, int root = 0);
  /// output (size * input.count elements) becomes the ranks' inputs one after another.
  /// `input` may be this rank's own part of `output`; any other overlap is an Error.
  void all_gather(ConstBuffer input, Buffer output);
  /// output becomes part `rank` of the reduced inputs; input has size * output.count elements.
  /// `output` may be this rank's own part of `input`; any other overlap is an Error.
  void reduce_scatter(ConstBuffer input, Buffer output, ReduceOp op = ReduceOp::kSum);

 protected:
  Communicator() = default;
  /// Carries out one call. Implementations call `fault_in` first and spread what it finds to every rank.
  virtual void run(const Collective& call) = 0;
};

/// What is wrong with one rank's arguments by themselves; empty when nothing is.
std::string fault_in(const Collective& call, int rank, int size);

/// The group of one: reductions leave their input as it is, all_gather and reduce_scatter copy. Has no state; lives as long as
/// the program.
Communicator& single();

}  // namespace ocelli::comm
