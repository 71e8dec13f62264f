#include "ocelli/data/sample.h"

#include <algorithm>

namespace ocelli::data {

int64_t Sample::count() const {
  if (!independent) return 1;
  return std::count_if(turns.begin(), turns.end(), [](const Turn& turn) { return turn.role == Turn::Role::kAssistant; });
}

}  // namespace ocelli::data
