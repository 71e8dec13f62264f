#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "ocelli/comm/communicator.h"

namespace ocelli::comm {

/// A group of `ranks` >= 1 inside this process, one Communicator for each thread: element r is rank r.
/// Each may be moved to its thread; destroying one tells the others that this rank has left.
/// A call that waits longer than `timeout` for another rank throws Error naming the ranks that are missing, and so does every
/// later call of the group: after a timeout ranks no longer agree on where they are.
std::vector<std::unique_ptr<Communicator>> make_thread_group(int ranks,
                                                             std::chrono::milliseconds timeout = std::chrono::minutes(10));

}  // namespace ocelli::comm
