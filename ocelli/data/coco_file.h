#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/data/file_text.h"

namespace ocelli::data {

/// A picture as COCO's files describe it.
struct CocoPicture {
  std::filesystem::path path;
  int64_t width = 0;  ///< 0: not given
  int64_t height = 0;
};

/// A file of COCO's annotations, indexed by one scan when it is opened, records parsed when asked for.
class CocoFile {
 public:
  /// `images`: the folder `file_name` starts from, see bare_picture_root(). Throws Error naming file and record: a list missing,
  /// an id missing or given twice.
  CocoFile(const std::filesystem::path& path, const std::filesystem::path& images);

  const std::string& name() const { return text_.name(); }
  int64_t num_annotations() const { return static_cast<int64_t>(annotations_.size()); }
  /// The record's text, and the record.
  std::string_view annotation_text(int64_t number) const { return annotations_[static_cast<size_t>(number)]; }
  Json annotation(int64_t number) const;
  /// "instances.json, annotation 3".
  std::string where(int64_t number) const;
  /// Throws Error naming the file when there is no such picture, or its record is wrong.
  CocoPicture picture(int64_t image_id) const;
  /// Throws Error starting with `where` for an id that no category has.
  const std::string& category(int64_t id, const std::string& where) const;

 private:
  FileText text_;
  std::filesystem::path images_;
  std::vector<std::string_view> annotations_;
  std::vector<std::string_view> pictures_;
  std::unordered_map<int64_t, uint32_t> picture_of_;
  std::unordered_map<int64_t, std::string> categories_;
};

/// An annotation's `bbox` x, y, width, height as x0, y0, x1, y1. Throws Error when it isn't four finite numbers, the last two at
/// least 0.
std::array<double, 4> coco_box(const JsonView& annotation);

}  // namespace ocelli::data
