#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace ocelli {

/// A whole file mapped read-only. Shared: every view of the bytes holds the map alive.
/// A file cut short by another process after opening makes the kernel raise SIGBUS; files we write are
/// replaced by rename, never in place, so only a foreign writer can do that.
class MappedFile {
 public:
  /// Throws Error naming the path and the system's reason. An empty file maps to zero bytes.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size);
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// The whole file as text. Throws Error when it can't be read or is larger than `max_bytes` (checked before reading).
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = 1ULL << 30);

/// Replaces the file in one step: temporary file beside it, fsync, rename, fsync of the folder.
/// On any failure the old file stands and the temporary one is gone. Throws Error (disk full, no permission, …).
void write_file_atomic(const std::filesystem::path& path, std::string_view contents);

/// A file written piece by piece that appears under its name only when complete.
class AtomicFile {
 public:
  /// Opens `path` + ".tmp-<pid>-<number>" for writing.
  explicit AtomicFile(std::filesystem::path path);
  /// Removes the temporary file unless committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  uint64_t bytes_written() const { return bytes_written_; }
  /// fsync, rename onto the final name, fsync of the folder.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  uint64_t bytes_written_ = 0;
};

/// Makes renames and new names in the folder durable.
void sync_directory(const std::filesystem::path& directory);

/// Makes a folder and its parents; throws Error naming the path and the reason.
void make_directories(const std::filesystem::path& directory);

}  // namespace ocelli
