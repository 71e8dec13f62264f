#include "ocelli/report/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ocelli/base/error.h"

namespace ocelli::report {

AppendFile::AppendFile(std::filesystem::path path, Mode mode) : path_(std::move(path)) {
  const int how = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | (mode == Mode::kCreateNew ? O_EXCL : 0);
  descriptor_ = ::open(path_.c_str(), how, 0644);
  require(descriptor_ >= 0, "{}: can't open it for writing: {}", path_.string(), std::strerror(errno));
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    const int reason = errno;
    ::close(descriptor_);
    fail("{}: can't read its size: {}", path_.string(), std::strerror(reason));
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::append(std::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int reason = errno;
      // Where cutting fails too, readers still know a torn end when they see one.
      [[maybe_unused]] const int ignored = ::ftruncate(descriptor_, static_cast<off_t>(size_));
      fail("{}: can't write {} bytes: {}", path_.string(), bytes.size(), std::strerror(reason));
    }
    done += static_cast<size_t>(written);
  }
  size_ += bytes.size();
}

void AppendFile::cut(uint64_t size) {
  require(::ftruncate(descriptor_, static_cast<off_t>(size)) == 0, "{}: can't shorten it to {} bytes: {}", path_.string(), size,
          std::strerror(errno));
  size_ = size;
}

}  // namespace ocelli::report
