#include "ocelli/data/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"

namespace ocelli::data {
namespace {

constexpr size_t kPiece = 1 << 20;

void pack_gzip(std::string_view input, AtomicFile& output) {
  z_stream stream{};
  // 15 bits of window, and 16 for a gzip header instead of zlib's.
  require(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK,
          "zlib: out of memory");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> ended(&stream, deflateEnd);
  std::vector<char> piece(kPiece);
  for (int code = Z_OK; code != Z_STREAM_END;) {
    const size_t given = std::min(input.size(), kPiece);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    code = deflate(&stream, given == input.size() ? Z_FINISH : Z_NO_FLUSH);
    require(code != Z_STREAM_ERROR, "zlib: can't compress");
    output.write(piece.data(), piece.size() - stream.avail_out);
    input.remove_prefix(given - stream.avail_in);
  }
}

void pack_zstd(std::string_view input, AtomicFile& output) {
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  require(context != nullptr, "zstd: out of memory");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::vector<char> piece(kPiece);
  ZSTD_inBuffer in = {input.data(), input.size(), 0};
  for (size_t left = 1; left != 0;) {
    ZSTD_outBuffer out = {piece.data(), piece.size(), 0};
    left = ZSTD_compressStream2(context.get(), &out, &in, ZSTD_e_end);
    require(!ZSTD_isError(left), "zstd: can't compress: {}", ZSTD_getErrorName(left));
    output.write(piece.data(), out.pos);
  }
}

}  // namespace

bool is_gzip_name(const std::filesystem::path& path) {
  return path.extension() == ".gz" || path.extension() == ".tgz";
}

bool is_zstd_name(const std::filesystem::path& path) {
  return path.extension() == ".zst" || path.extension() == ".tzst";
}

void compress_file(const std::filesystem::path& path, Compression how) {
  // The map outlives the name it was opened by, so the new file may take that name.
  const std::shared_ptr<const MappedFile> plain = MappedFile::open(path);
  const std::string_view input(reinterpret_cast<const char*>(plain->bytes().data()), plain->bytes().size());
  AtomicFile output(path);
  if (how == Compression::kGzip) {
    pack_gzip(input, output);
  } else {
    pack_zstd(input, output);
  }
  output.commit();
}

}  // namespace ocelli::data
