#pragma once

#include "ocelli/base/json.h"
#include "ocelli/model/image_processor.h"

namespace ocelli::model {

// What OcelliImageProcessor says beyond the keys of the published tables: ways of cutting, colours of padding and second towers
// that those can't name.

/// Reads `apply_orientation`, `pad_colour`, `min_side`, `longest_side`, `cut`, `second_view` and `aux` where they are given.
/// Throws Error naming key, value and what would be right.
void read_spelled_out(const JsonView& config, ImageProcessor& out);
/// Whether no published table says all of it.
bool needs_spelling_out(const ImageProcessor& images);
/// Puts those keys in.
void write_spelled_out(const ImageProcessor& images, Json& json);

}  // namespace ocelli::model
