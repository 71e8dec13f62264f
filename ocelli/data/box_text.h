#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "ocelli/data/prompt_forms.h"

namespace ocelli::data {

/// Fields of a wording of kind "box": `x0`, `y0`, `x1`, `y1` in pixels of the picture, to a hundredth at most; `x0/1` as a share
/// of its width (`y0/1`: height) with two decimals; `x0/square` the same of the picture padded to a square, itself in the middle,
/// as LLaVA pads; `x0/999` and `x0/1000` as whole numbers from 0 to 999 (Qwen-VL) and 0 to 1000 (InternVL), to the nearest.
const std::set<std::string, std::less<>>& box_fields();

/// The box x0, y0, x1, y1 of a picture of width x height as the wording of "box" says. `number` chooses among several.
/// Throws Error without a wording of "box".
std::string box_text(const PromptForms& forms, int64_t number, const std::array<double, 4>& box, int64_t width, int64_t height);

/// Several boxes, "box_separator" between them.
std::string boxes_text(const PromptForms& forms, int64_t number, const std::vector<std::array<double, 4>>& boxes, int64_t width,
                       int64_t height);

}  // namespace ocelli::data
