#pragma once

#include "ocelli/image/tiling.h"

namespace ocelli::image {

/// Corners of a region: left, top, right, bottom; in pixels of the source picture, or in [0, 1] where a function says so.
struct Box {
  double x1 = 0;
  double y1 = 0;
  double x2 = 0;
  double y2 = 0;
  friend bool operator==(const Box&, const Box&) = default;
};

/// The box in [0, 1] of the square that holds a picture in its middle (pad_square()), clamped to it. Throws Error when a corner
/// lies outside the picture or the right (bottom) one is not behind the left (top) one.
Box in_padded_square(const Box& box, Size picture);

}  // namespace ocelli::image
