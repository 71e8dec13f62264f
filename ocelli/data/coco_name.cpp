#include "ocelli/data/coco_name.h"

#include <fmt/format.h>

#include "ocelli/data/picture_root.h"

namespace ocelli::data {

std::filesystem::path coco_picture(const std::filesystem::path& images, std::string split, int64_t image_id) {
  if (split == "test-dev2015") split = "test2015";
  std::filesystem::path named = images / fmt::format("COCO_{}_{:012}.jpg", split, image_id);
  const std::filesystem::path plain = images / fmt::format("{:012}.jpg", image_id);
  return !is_there(named) && is_there(plain) ? plain : named;
}

}  // namespace ocelli::data
