#include "ocelli/image/box.h"

#include <algorithm>

#include "ocelli/base/error.h"

namespace ocelli::image {

Box in_padded_square(const Box& box, Size picture) {
  const double width = static_cast<double>(picture.width), height = static_cast<double>(picture.height);
  require(0 <= box.x1 && box.x1 <= box.x2 && box.x2 <= width && 0 <= box.y1 && box.y1 <= box.y2 && box.y2 <= height,
          "box {}, {}, {}, {}: expected left, top, right, bottom within the picture's {} x {} pixels", box.x1, box.y1, box.x2,
          box.y2, picture.width, picture.height);
  const int64_t side = std::max(picture.width, picture.height);
  const double left = static_cast<double>((side - picture.width) / 2), top = static_cast<double>((side - picture.height) / 2);
  const auto share = [&](double at, double shift) { return std::clamp((at + shift) / static_cast<double>(side), 0.0, 1.0); };
  return {share(box.x1, left), share(box.y1, top), share(box.x2, left), share(box.y2, top)};
}

}  // namespace ocelli::image
