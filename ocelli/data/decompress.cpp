#include "ocelli/data/decompress.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/data/compress.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPiece = 1 << 20;

/// A file without a name, so that it is gone whatever ends the program.
class UnnamedFile {
 public:
  UnnamedFile(std::string origin, uint64_t max_bytes) : origin_(std::move(origin)), max_bytes_(max_bytes) {
    const char* folder = ::getenv("TMPDIR");
    folder_ = folder && *folder ? folder : "/tmp";
    std::string name = (folder_ / "ocelli-XXXXXX").string();
    descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor_ < 0)
      fail("{}: can't make a temporary file in {}: {}; set TMPDIR", origin_, folder_.string(), std::strerror(errno));
    ::unlink(name.c_str());
  }
  ~UnnamedFile() { ::close(descriptor_); }
  UnnamedFile(const UnnamedFile&) = delete;
  UnnamedFile& operator=(const UnnamedFile&) = delete;

  void write(const char* data, size_t size) {
    require(size <= max_bytes_ - bytes_,
            "{}: it unpacks to more than {} bytes, too much for its size; unpack it yourself if you trust it", origin_,
            max_bytes_);
    bytes_ += size;
    while (size > 0) {
      const ssize_t done = ::write(descriptor_, data, size);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) {
        fail("{}: can't unpack it into {}: {}; set TMPDIR to a folder with room, or unpack it yourself", origin_,
             folder_.string(), std::strerror(errno));
      }
      data += done;
      size -= static_cast<size_t>(done);
    }
  }

  /// The link below /proc leads to the open file, name or not.
  std::shared_ptr<const MappedFile> map() const { return MappedFile::open(fmt::format("/proc/self/fd/{}", descriptor_)); }

 private:
  std::string origin_;
  uint64_t max_bytes_;
  fs::path folder_;
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
};

class Inflater {
 public:
  Inflater() { require(inflateInit2(&stream_, 15 + 16) == Z_OK, "zlib: out of memory"); }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream* operator->() { return &stream_; }
  z_stream* get() { return &stream_; }

 private:
  z_stream stream_{};
};

/// A gzip file is one or more members; zero bytes may pad its end.
void unpack_gzip(std::string_view input, UnnamedFile& output, const std::string& origin) {
  Inflater stream;
  std::vector<char> piece(kPiece);
  while (!input.empty()) {
    const size_t given = std::min(input.size(), kPiece);
    stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream->avail_in = static_cast<uInt>(given);
    stream->next_out = reinterpret_cast<Bytef*>(piece.data());
    stream->avail_out = static_cast<uInt>(piece.size());
    const int code = inflate(stream.get(), Z_NO_FLUSH);
    require(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, "{}: damaged gzip data ({}); fetch the file again",
            origin, stream->msg ? stream->msg : "unknown reason");
    const size_t made = piece.size() - stream->avail_out, taken = given - stream->avail_in;
    output.write(piece.data(), made);
    input.remove_prefix(taken);
    if (code == Z_STREAM_END) {
      if (input.find_first_not_of('\0') == std::string_view::npos) return;
      inflateReset(stream.get());
    } else {
      require(taken + made > 0, "{}: damaged gzip data; fetch the file again", origin);
    }
  }
  fail("{}: the gzip data ends early; the file is cut, fetch it again", origin);
}

void unpack_zstd(std::string_view input, UnnamedFile& output, const std::string& origin) {
  const std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(), ZSTD_freeDStream);
  require(stream != nullptr, "zstd: out of memory");
  std::vector<char> piece(kPiece);
  ZSTD_inBuffer in = {input.data(), input.size(), 0};
  size_t hint = 1;
  for (;;) {
    ZSTD_outBuffer out = {piece.data(), piece.size(), 0};
    const size_t before = in.pos;
    hint = ZSTD_decompressStream(stream.get(), &out, &in);
    // A window above 128 MiB, which `zstd --long` may make, is refused here as well: memory stays bounded.
    require(!ZSTD_isError(hint), "{}: can't unpack its zstd data ({}); fetch the file again, or make it without --long", origin,
            ZSTD_getErrorName(hint));
    output.write(piece.data(), out.pos);
    if (in.pos == in.size && (hint == 0 || out.pos < out.size)) break;
    require(in.pos > before || out.pos > 0, "{}: damaged zstd data; fetch the file again", origin);
  }
  require(hint == 0, "{}: the zstd data ends early; the file is cut, fetch it again", origin);
}

}  // namespace

bool is_compressed(const fs::path& path) {
  return is_gzip_name(path) || is_zstd_name(path);
}

std::shared_ptr<const MappedFile> decompress(const fs::path& path, const DecompressLimits& limits) {
  const std::shared_ptr<const MappedFile> packed = MappedFile::open(path);
  const std::string_view input(reinterpret_cast<const char*>(packed->bytes().data()), packed->bytes().size());
  const std::string origin = path.string();
  const uint64_t by_ratio =
      input.size() > limits.max_bytes / limits.max_ratio ? limits.max_bytes : input.size() * limits.max_ratio;
  UnnamedFile output(origin, std::min(limits.max_bytes, std::max(by_ratio, limits.free_bytes)));
  if (input.starts_with("\x1f\x8b")) {
    unpack_gzip(input, output, origin);
  } else if (input.starts_with("\x28\xb5\x2f\xfd")) {
    unpack_zstd(input, output, origin);
  } else {
    fail("{}: its name says gzip or zstd, but it starts like neither", origin);
  }
  return output.map();
}

}  // namespace ocelli::data
