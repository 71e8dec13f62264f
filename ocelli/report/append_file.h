#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace ocelli::report {

/// A file that only grows. What a failed append (a full disk, say) left is cut off again, so that the file always ends with a
/// whole append, unless the process was killed inside one.
class AppendFile {
 public:
  enum class Mode { kCreateNew, kContinue };
  /// kCreateNew fails where the file is; kContinue makes it where it isn't. Throws Error naming path and reason.
  AppendFile(std::filesystem::path path, Mode mode);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void append(std::string_view bytes);
  /// Shortens the file to its first `size` bytes.
  void cut(uint64_t size);
  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace ocelli::report
