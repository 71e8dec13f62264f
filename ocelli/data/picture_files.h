#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>

#include "ocelli/data/sample.h"

namespace ocelli::data {

/// Puts pictures where a format that holds paths can name them.
class PictureFiles {
 public:
  /// `folder`: made when the first picture is written into it.
  explicit PictureFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The picture's path from the folder. A file that lies below the folder is left where it is; else the bytes are written as
  /// they are, once however often they come, named by their own name (or by `name` and their content's suffix) and made unique.
  std::string put(const Picture& picture, const std::string& name);

 private:
  std::filesystem::path folder_;
  std::unordered_map<uint64_t, std::string> written_;  ///< by hash of the bytes
  std::unordered_map<std::string, uint64_t> taken_;    ///< names given so far, and their bytes' hash
};

/// ".jpg", ".png" or ".webp" by the first bytes; "" for others.
std::string picture_suffix(std::string_view bytes);

/// Whether names of pictures that are read end so, in any case: "jpg", "jpeg", "png", "webp", without the dot.
bool is_picture_suffix(std::string_view suffix);

}  // namespace ocelli::data
