#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "ocelli/base/file.h"

namespace ocelli::data {

/// The text of a file, however large. Up to 64 MiB it is read, so that it may be edited meanwhile; a larger one is mapped and
/// must not be cut.
class FileText {
 public:
  /// Throws Error when it can't be read. A byte order mark in front is left out.
  explicit FileText(const std::filesystem::path& path);

  std::string_view text() const { return text_; }
  /// The file's name, for messages.
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::shared_ptr<const std::string> read_;  ///< of a smaller file …
  std::shared_ptr<const MappedFile> map_;    ///< … of a larger one
  std::string_view text_;                    ///< inside one of the two
};

}  // namespace ocelli::data
