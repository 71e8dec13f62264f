#include "ocelli/data/idx_file.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "ocelli/base/error.h"

namespace ocelli::data {
namespace {

constexpr int64_t kMaxValues = int64_t{1} << 30;
constexpr size_t kChunk = 1 << 20;

struct CloseGz {
  void operator()(gzFile file) const { gzclose(file); }
};
using GzHandle = std::unique_ptr<gzFile_s, CloseGz>;

/// Up to `size` bytes; fewer only at the end of the file.
size_t read_some(gzFile file, uint8_t* out, size_t size, const std::filesystem::path& path) {
  const int got = gzread(file, out, static_cast<unsigned>(size));
  int code = Z_OK;
  const char* reason = gzerror(file, &code);
  // Z_BUF_ERROR is how zlib reports a compressed stream that ends early.
  if (code == Z_BUF_ERROR) fail("{}: the compressed data ends early; the file is truncated, fetch it again", path.string());
  if (code == Z_ERRNO) fail("{}: {}", path.string(), std::strerror(errno));
  if (got < 0 || code != Z_OK) fail("{}: damaged compressed data ({}); fetch the file again", path.string(), reason);
  return static_cast<size_t>(got);
}

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

}  // namespace

IdxFile read_idx(const std::filesystem::path& path, int dimensions) {
  errno = 0;
  const GzHandle file(gzopen(path.c_str(), "rb"));
  require(file != nullptr, "{}: {}", path.string(), errno != 0 ? std::strerror(errno) : "out of memory");

  std::vector<uint8_t> header(4 + 4 * static_cast<size_t>(dimensions));
  const size_t header_read = read_some(file.get(), header.data(), header.size(), path);
  require(header_read == header.size(), "{}: {} bytes, an idx header of {} dimensions has {}", path.string(), header_read,
          dimensions, header.size());
  const uint32_t magic = big_endian(header.data());
  const uint32_t wanted = 0x0800U + static_cast<uint32_t>(dimensions);
  require(magic == wanted, "{}: magic is 0x{:08x}, expected 0x{:08x} (idx, unsigned bytes, {} dimensions)", path.string(), magic,
          wanted, dimensions);

  IdxFile result;
  int64_t total = 1;
  for (int d = 0; d < dimensions; ++d) {
    const int64_t size = big_endian(header.data() + 4 + 4 * d);
    require(size >= 1 && size <= kMaxValues / total, "{}: dimension {} is {}, expected at least 1 and at most {} values in all",
            path.string(), d, size, kMaxValues);
    total *= size;
    result.shape.push_back(size);
  }

  size_t filled = 0;
  while (filled < static_cast<size_t>(total)) {
    const size_t piece = std::min(kChunk, static_cast<size_t>(total) - filled);
    result.values.resize(filled + piece);
    const size_t got = read_some(file.get(), result.values.data() + filled, piece, path);
    require(got > 0, "{}: {} values, its header promises {}; the file is truncated, fetch it again", path.string(), filled,
            total);
    filled += got;
  }
  uint8_t beyond = 0;
  require(read_some(file.get(), &beyond, 1, path) == 0, "{}: holds more than the {} values its header promises", path.string(),
          total);
  return result;
}

}  // namespace ocelli::data
