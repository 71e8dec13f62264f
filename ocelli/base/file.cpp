#include "ocelli/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "ocelli/base/error.h"

namespace ocelli {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) {
  return std::system_category().message(error);
}

/// Closes on scope exit.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

/// Opens a regular file for reading and gives its size. O_NONBLOCK: a FIFO must be refused, not waited for.
int open_regular(const fs::path& path, uint64_t& size) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) fail("{}: can't open: {}", path.string(), reason(errno));
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) {
    const int error = errno;
    ::close(descriptor);
    fail("{}: can't read its size: {}", path.string(), reason(error));
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(descriptor);
    fail("{}: {}, expected a regular file", path.string(), S_ISDIR(info.st_mode) ? "is a folder" : "is no regular file");
  }
  size = static_cast<uint64_t>(info.st_size);
  return descriptor;
}

/// The folder a file lies in, "." for a plain name.
fs::path folder_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

}  // namespace

MappedFile::MappedFile(fs::path path, const std::byte* data, size_t size) : path_(std::move(path)), data_(data), size_(size) {}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::shared_ptr<const MappedFile> MappedFile::open(const fs::path& path) {
  uint64_t size = 0;
  const Descriptor descriptor(open_regular(path, size));
  const std::byte* data = nullptr;
  if (size > 0) {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
    if (address == MAP_FAILED) fail("{}: can't map {} bytes: {}", path.string(), size, reason(errno));
    data = static_cast<const std::byte*>(address);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(path, data, size));
}

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  uint64_t size = 0;
  const Descriptor descriptor(open_regular(path, size));
  require(size <= max_bytes, "{}: {} bytes, the limit is {}", path.string(), size, max_bytes);
  std::string text(size, '\0');
  size_t filled = 0;
  // A file in /proc or /sys says size 0 or one page and still has text, so read until the end, however it was announced.
  for (;;) {
    if (filled == text.size()) {
      if (filled > max_bytes) fail("{}: more than {} bytes, the limit", path.string(), max_bytes);
      text.resize(std::max<uint64_t>(filled + 1, std::min<uint64_t>(filled + 4096, max_bytes + 1)));
    }
    const ssize_t done = ::read(descriptor.get(), text.data() + filled, text.size() - filled);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("{}: can't read: {}", path.string(), reason(errno));
    if (done == 0) break;
    filled += static_cast<size_t>(done);
  }
  require(filled <= max_bytes, "{}: more than {} bytes, the limit", path.string(), max_bytes);
  text.resize(filled);
  return text;
}

void write_file_atomic(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  // The number keeps two writers of one process apart; the process id, two processes.
  static std::atomic<uint64_t> number{0};
  temporary_ = path_;
  temporary_ += fmt::format(".tmp-{}-{}", ::getpid(), number.fetch_add(1));
  // What a killed process of the same id left is removed; O_EXCL then makes sure that no link is followed.
  ::unlink(temporary_.c_str());
  do {
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) fail("{}: can't write: {}", path_.string(), reason(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t size) {
  require(descriptor_ >= 0, "{}: already committed, can't write more", path_.string());
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t done = ::write(descriptor_, next, std::min<size_t>(size, size_t{1} << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("{}: can't write after {} bytes: {}", path_.string(), bytes_written_, reason(errno));
    next += done;
    size -= static_cast<size_t>(done);
    bytes_written_ += static_cast<uint64_t>(done);
  }
}

void AtomicFile::commit() {
  require(descriptor_ >= 0, "{}: already committed", path_.string());
  int result = 0;
  do {
    result = ::fsync(descriptor_);
  } while (result != 0 && errno == EINTR);
  // EINVAL: a file system without fsync; rename is still atomic there.
  if (result != 0 && errno != EINVAL) fail("{}: can't write: {}", path_.string(), reason(errno));
  const int descriptor = std::exchange(descriptor_, -1);
  // Network file systems report a full disk only here. On EINTR Linux has closed the descriptor already.
  if (::close(descriptor) != 0 && errno != EINTR) fail("{}: can't write: {}", path_.string(), reason(errno));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail("{}: can't put the new file in place: {}", path_.string(), reason(errno));
  }
  temporary_.clear();
  sync_directory(folder_of(path_));
}

void sync_directory(const fs::path& directory) {
  const Descriptor descriptor(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) fail("{}: can't open folder: {}", directory.string(), reason(errno));
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL && errno != EINTR) {
    fail("{}: can't make the folder's names durable: {}", directory.string(), reason(errno));
  }
}

void make_directories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) fail("{}: can't make folder: {}", directory.string(), error.message());
}

}  // namespace ocelli
