#include "ocelli/data/coco_file.h"

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/data/json_scan.h"
#include "ocelli/data/picture_root.h"

namespace ocelli::data {

CocoFile::CocoFile(const std::filesystem::path& path, const std::filesystem::path& images)
    : text_(path),
      images_(bare_picture_root(images, path)),
      annotations_(find_records(text_.text(), "annotations", name())),
      pictures_(find_records(text_.text(), "images", name())) {
  for (size_t i = 0; i < pictures_.size(); ++i) {
    const std::string at = fmt::format("{}, image {}", name(), i);
    const int64_t id = find_integer(pictures_[i], "id", at);
    require(picture_of_.emplace(id, static_cast<uint32_t>(i)).second, "{}: id {} is there twice", at, id);
  }
  if (!find_value(text_.text(), "categories")) return;  // captions have none
  for (const std::string_view text : find_records(text_.text(), "categories", name())) {
    const std::string at = fmt::format("{}, category {}", name(), categories_.size());
    const Json record = parse_json(text, at);
    const JsonView view(record, at);
    require(categories_.emplace(view.integer("id"), view.string("name")).second, "{}: its id is there twice", at);
  }
}

std::string CocoFile::where(int64_t number) const {
  return fmt::format("{}, annotation {}", name(), number);
}

Json CocoFile::annotation(int64_t number) const {
  Json record = parse_json(annotation_text(number), where(number));
  require(record.is_object(), "{}: expected an object", where(number));
  return record;
}

CocoPicture CocoFile::picture(int64_t image_id) const {
  const auto found = picture_of_.find(image_id);
  require(found != picture_of_.end(), "{}: no image has the id {}, which an annotation names", name(), image_id);
  const std::string at = fmt::format("{}, image {}", name(), found->second);
  const Json record = parse_json(pictures_[found->second], at);
  const JsonView view(record, at);
  std::string file;
  if (view.has("file_name")) {
    file = view.string("file_name");
  } else {
    const std::filesystem::path url = view.string("coco_url");
    file = (url.parent_path().filename() / url.filename()).generic_string();
  }
  constexpr int64_t kMostSide = 1 << 24;
  return {below(images_, file, at), view.integer_in("width", 0, kMostSide, 0), view.integer_in("height", 0, kMostSide, 0)};
}

const std::string& CocoFile::category(int64_t id, const std::string& where) const {
  const auto found = categories_.find(id);
  require(found != categories_.end(), "{}: category_id is {}, but no category has that id", where, id);
  return found->second;
}

std::array<double, 4> coco_box(const JsonView& annotation) {
  const std::vector<double> box = annotation.numbers("bbox");
  require(box.size() == 4, "{}: bbox has {} numbers, expected x, y, width, height", annotation.path(), box.size());
  for (const double value : box)
    require(std::isfinite(value) && std::abs(value) < 1e9, "{}: bbox holds {}", annotation.path(), value);
  require(box[2] >= 0 && box[3] >= 0, "{}: bbox is {} wide and {} high, expected at least 0", annotation.path(), box[2], box[3]);
  return {box[0], box[1], box[0] + box[2], box[1] + box[3]};
}

}  // namespace ocelli::data
