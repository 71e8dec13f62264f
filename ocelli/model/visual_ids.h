#pragma once

#include <cstdint>

namespace ocelli::model {

// In a stream of expanded ids each row that a visual token takes says so itself: its id, whatever the system's placeholder is
// (also one outside the vocabulary such as LLaVA's -200, or the bytes of a path as in Qwen-VL), is stored with this added.
inline constexpr int64_t kVisualOffset = int64_t{1} << 40;

inline int64_t visual_id(int64_t id) {
  return id + kVisualOffset;
}
inline bool is_visual(int64_t id) {
  return id > kVisualOffset / 2;
}
/// The id as the system writes it.
inline int64_t plain_id(int64_t id) {
  return is_visual(id) ? id - kVisualOffset : id;
}

}  // namespace ocelli::model
