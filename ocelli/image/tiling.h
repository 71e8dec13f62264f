#pragma once

#include <cstdint>

#include "ocelli/image/image.h"

namespace ocelli::image {

/// How one picture is cut for the vision tower: `tiles` of tile_height x tile_width pixels, row by row, then the thumbnail if
/// there is one.
struct Tiling {
  Grid tiles{1, 1};
  bool thumbnail = false;
  int64_t tile_height = 0;
  int64_t tile_width = 0;
  int64_t count() const { return tiles.count() + (thumbnail ? 1 : 0); }
  friend bool operator==(const Tiling&, const Tiling&) = default;
};

}  // namespace ocelli::image
