#pragma once

#include <array>
#include <span>
#include <string_view>

#include "ocelli/data/sample.h"
#include "ocelli/model/image_processor.h"

namespace ocelli::data {

/// A picture's views put together as a person can look at them, colours as normalisation takes them back: the tiles in their
/// grid with a gap between them, and the overview by itself.
struct SeenViews {
  image::Image tiles;
  image::Image overview;  ///< 0 x 0 without
};
/// `images`: the table `picture` was made with.
SeenViews seen_views(const model::PixelTiles& picture, const model::ImageProcessor& images);

/// The picture made at most `longest` pixels long; a smaller one is left as it is.
image::Image reduced(const image::Image& picture, int64_t longest);

/// Colours of boxes, by name.
struct BoxColour {
  std::string_view name;
  std::array<uint8_t, 3> rgb;
};
std::span<const BoxColour> box_colours();
/// Draws the outlines of the boxes that lie in picture `number`, region i in colour i (they repeat), clipped to the picture.
/// `scale`: pixels of `picture` per pixel of the stored one.
void draw_boxes(image::Image& picture, std::span<const Region> regions, int64_t number, double scale);

}  // namespace ocelli::data
