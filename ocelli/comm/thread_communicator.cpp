#include "ocelli/comm/thread_communicator.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "ocelli/base/error.h"
#include "ocelli/comm/reduce.h"

namespace ocelli::comm {
namespace {

/// What the ranks of a group share. A call is: post it, gather, work on everybody's buffers, finish. From the gathering until
/// the finish the posted calls don't change, so they are read without the lock (taking it in between orders the memory).
class Group {
 public:
  Group(int ranks, std::chrono::milliseconds timeout) : calls_(ranks), here_(ranks), timeout_(timeout) {}

  int size() const { return static_cast<int>(calls_.size()); }
  const std::vector<Collective>& calls() const { return calls_; }

  void post(int rank, const Collective& call) { calls_[rank] = call; }

  /// Returns when every rank has posted its call. Throws Error when one has left or doesn't come in time.
  void gather(int rank) {
    std::unique_lock lock(mutex_);
    if (!broken_.empty()) throw Error(broken_);
    here_[rank] = true;
    if (arrive()) return;
    const uint64_t round = round_;
    const bool in_time = changed_.wait_for(lock, timeout_, [&] { return round_ != round || !broken_.empty(); });
    // A gathering that was complete before the group broke has happened.
    if (round_ != round) return;
    if (!in_time) {
      break_with(fmt::format("{}: rank {} waited {:.3g} s for {}; every rank must make the same calls",
                             name_of(calls_[rank].kind), rank, std::chrono::duration<double>(timeout_).count(), missing()));
    }
    throw Error(broken_);
  }

  /// Returns when every rank is done with the others' buffers. Without a timeout: all have gathered, so all come, and a rank that
  /// gave up here would free memory that others still read.
  void finish() {
    std::unique_lock lock(mutex_);
    if (arrive()) return;
    const uint64_t round = round_;
    changed_.wait(lock, [&] { return round_ != round; });
  }

  void leave(int rank) {
    const std::scoped_lock lock(mutex_);
    // At the end of a run all ranks leave; only one who still waits, or calls later, sees the message.
    if (broken_.empty()) break_with(fmt::format("communicator: rank {} of {} has left the group", rank, size()));
  }

 private:
  /// True for the rank that completes the round.
  bool arrive() {
    if (++arrived_ < size()) return false;
    arrived_ = 0;
    std::fill(here_.begin(), here_.end(), false);
    ++round_;
    changed_.notify_all();
    return true;
  }

  std::string missing() const {
    std::string names;
    for (int rank = 0; rank < size(); ++rank) {
      if (!here_[rank]) names += fmt::format("{}{}", names.empty() ? "rank " : ", ", rank);
    }
    return names;
  }

  void break_with(std::string message) {
    broken_ = std::move(message);
    changed_.notify_all();
  }

  std::vector<Collective> calls_;
  std::vector<bool> here_;
  std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  uint64_t round_ = 0;
  std::string broken_;
};

std::string describe(const Collective& call) {
  if (call.kind == Collective::Kind::kBarrier) return "barrier";
  std::string text = fmt::format("{} of {} {}", name_of(call.kind), call.input.count, name_of(call.input.dtype));
  if (call.kind == Collective::Kind::kBroadcast) text += fmt::format(" from {}", call.root);
  if (call.kind == Collective::Kind::kAllReduce || call.kind == Collective::Kind::kReduceScatter) {
    text += call.op == ReduceOp::kSum ? " (sum)" : " (max)";
  }
  return text;
}

/// The first disagreement, looked for in the same order by every rank: all throw the same message.
void check(const std::vector<Collective>& calls) {
  const int size = static_cast<int>(calls.size());
  for (int rank = 0; rank < size; ++rank) {
    const std::string fault = fault_in(calls[rank], rank, size);
    if (!fault.empty()) throw Error(fault);
  }
  for (int rank = 1; rank < size; ++rank) {
    const Collective &a = calls[0], &b = calls[rank];
    const bool same =
        a.kind == b.kind && a.input.count == b.input.count && a.input.dtype == b.input.dtype && a.op == b.op && a.root == b.root;
    if (!same) {
      fail("communicator: rank 0 calls {}, rank {} calls {}; every rank must make the same call with the same count and type",
           describe(a), rank, describe(b));
    }
  }
}

/// Element where rank's share of `count` begins: cut on 64-byte lines so that two ranks never write one line.
int64_t share_begin(int64_t count, int rank, int size, int64_t element_bytes) {
  if (rank == size) return count;
  const int64_t line = 64 / element_bytes;
  return std::min(count, (count / line * rank / size) * line);
}

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Group> group, int rank) : group_(std::move(group)), rank_(rank) {}
  ~ThreadCommunicator() override { group_->leave(rank_); }

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }

 protected:
  void run(const Collective& call) override {
    group_->post(rank_, call);
    group_->gather(rank_);
    std::exception_ptr disagreement;
    try {
      check(group_->calls());
    } catch (const Error&) {
      disagreement = std::current_exception();
    }
    if (!disagreement && call.kind != Collective::Kind::kBarrier) work(call);
    // Also after a disagreement: nobody may post the next call while others still read this one.
    group_->finish();
    if (disagreement) std::rethrow_exception(disagreement);
  }

 private:
  /// noexcept: a rank that doesn't come to `finish` would leave the others there.
  void work(const Collective& call) noexcept {
    const std::vector<Collective>& calls = group_->calls();
    switch (call.kind) {
      case Collective::Kind::kBarrier:
        break;
      case Collective::Kind::kAllReduce: {
        // Rank r alone reads and writes share r of every buffer: no copy, no race.
        std::vector<const void*> inputs;
        std::vector<void*> outputs;
        for (const Collective& other : calls) {
          inputs.push_back(other.input.data);
          outputs.push_back(other.output.data);
        }
        const int64_t element = size_of(call.input.dtype);
        reduce(inputs, outputs, call.input.dtype, call.op, share_begin(call.input.count, rank_, size(), element),
               share_begin(call.input.count, rank_ + 1, size(), element));
        break;
      }
      case Collective::Kind::kReduceScatter: {
        std::vector<const void*> inputs;
        for (const Collective& other : calls) inputs.push_back(other.input.data);
        const int64_t part = call.output.count;
        void* const output = call.output.data;
        reduce(inputs, {&output, 1}, call.input.dtype, call.op, rank_ * part, (rank_ + 1) * part, rank_ * part);
        break;
      }
      case Collective::Kind::kBroadcast:
        copy(call.output.data, calls[call.root].input.data, call.output.bytes());
        break;
      case Collective::Kind::kAllGather:
        for (int rank = 0; rank < size(); ++rank) {
          const int64_t bytes = call.input.bytes();
          if (bytes > 0) copy(static_cast<std::byte*>(call.output.data) + rank * bytes, calls[rank].input.data, bytes);
        }
        break;
    }
  }

  static void copy(void* to, const void* from, int64_t bytes) {
    if (to != from && bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  }

  std::shared_ptr<Group> group_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_thread_group(int ranks, std::chrono::milliseconds timeout) {
  require(ranks >= 1, "make_thread_group: {} ranks, expected at least 1", ranks);
  require(timeout.count() > 0, "make_thread_group: timeout {} ms, expected more than 0", timeout.count());
  auto group = std::make_shared<Group>(ranks, timeout);
  std::vector<std::unique_ptr<Communicator>> communicators;
  for (int rank = 0; rank < ranks; ++rank) communicators.push_back(std::make_unique<ThreadCommunicator>(group, rank));
  return communicators;
}

}  // namespace ocelli::comm
