#pragma once

#include <filesystem>

namespace ocelli::data {

/// Whether a file of this name is to be gzip (.gz, .tgz) or zstd (.zst, .tzst).
bool is_gzip_name(const std::filesystem::path& path);
bool is_zstd_name(const std::filesystem::path& path);

enum class Compression { kGzip, kZstd };
/// Replaces a file by its compressed contents, piece by piece. Throws Error naming it when it can't be read or written.
void compress_file(const std::filesystem::path& path, Compression how);

}  // namespace ocelli::data
