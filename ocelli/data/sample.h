#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/image/image.h"

namespace ocelli::data {

/// A picture as a data set holds it, still encoded: a file, or bytes inside a larger one.
struct Picture {
  std::filesystem::path path;                ///< the file; of bytes: the name they had in their file, may be empty
  std::shared_ptr<const std::string> bytes;  ///< the encoded picture; null: `path` is to be read
  std::string where;                         ///< what messages call bytes: "shard.tar, 000012.jpg"

  Picture() = default;
  Picture(std::filesystem::path file) : path(std::move(file)) {}  // NOLINT: a path is a picture
  Picture(std::string encoded, std::filesystem::path name, std::string where)
      : path(std::move(name)), bytes(std::make_shared<const std::string>(std::move(encoded))), where(std::move(where)) {}

  /// What messages call it.
  std::string name() const { return bytes ? where : path.string(); }
  /// The encoded bytes. Throws Error when the file can't be read or is larger than `max_bytes`.
  std::shared_ptr<const std::string> encoded(uint64_t max_bytes = image::DecodeOptions().max_file_bytes) const;
  /// Throws Error naming the picture, see image::decode().
  image::Image load(const image::DecodeOptions& options = {}) const;
};

/// One message of a conversation. `text` marks each picture as `<image>`.
struct Turn {
  enum class Role { kSystem, kUser, kAssistant } role = Role::kUser;
  std::string text;
};

/// Something in a picture that an annotation names.
struct Region {
  int64_t picture = 0;          ///< index into Sample::pictures
  std::string text;             ///< category, or the words that refer to it
  std::array<double, 4> box{};  ///< x0, y0, x1, y1 in pixels of the picture as stored
  Json mask;                    ///< null, or COCO's `segmentation`: polygons, or {"size": [h, w], "counts": ...}
};

/// One conversation, or independent questions about the same pictures.
struct Sample {
  std::string id;                 ///< as the file gives it, else its index
  std::vector<Picture> pictures;  ///< in order of their marks
  std::vector<Turn> turns;
  /// Each user turn with its answer stands alone: questions don't see each other, and every one sees all pictures. The first user
  /// turn carries the marks; the others are given the same ones.
  bool independent = false;
  std::vector<std::string> question_types;  ///< one per question, may be empty

  std::vector<std::vector<std::string>> references;  ///< per question, what several people answered; empty: the answer turn alone
  std::vector<Region> regions;                       ///< annotations of the pictures; not part of the turns
  OrderedJson extra;                                 ///< fields of the record that have no place above, an object; null: none

  /// What `batch_size` counts: independent questions, else one conversation.
  int64_t count() const;
};

/// Where a turn's text has a picture.
inline constexpr std::string_view kPictureMark = "<image>";
int64_t count_marks(std::string_view text);
/// Checks what every format promises: user and assistant turns alternate, start with a user's (behind one system turn) and end
/// with an answer that is not blank; as many marks in user turns as pictures. A sample without any mark gets its pictures in
/// front of its first user turn. Throws Error starting with `where`.
void finish_sample(Sample& sample, const std::string& where);

}  // namespace ocelli::data
