#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace ocelli::data {

/// The file of COCO's picture: `COCO_<split>_<12 digits>.jpg` as of 2014 in `images`, or `<12 digits>.jpg` as of 2017 when that
/// alone is there. Splits that share pictures ("test-dev2015") name their own.
std::filesystem::path coco_picture(const std::filesystem::path& images, std::string split, int64_t image_id);

}  // namespace ocelli::data
