#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ocelli/base/pickle.h"

namespace ocelli::detail {

/// The tensors of a pickle, each with its name as open_torch_file describes, and its number in `pickle.tensors`. Names are
/// given once. Throws Error naming `origin` on what has no such name, and beyond the limits told there.
std::vector<std::pair<std::string, uint32_t>> name_tensors(const Pickle& pickle, std::string_view origin);

}  // namespace ocelli::detail
