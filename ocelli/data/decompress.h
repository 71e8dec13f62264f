#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "ocelli/base/file.h"

namespace ocelli::data {

struct DecompressLimits {
  uint64_t max_bytes = 1ULL << 40;
  /// Times the compressed size; a tar of small texts reaches 60, a bomb 1000. Below `free_bytes` any ratio is allowed.
  uint64_t max_ratio = 256;
  uint64_t free_bytes = 64 << 20;
};

/// Whether the name ends in .gz, .tgz, .zst or .tzst.
bool is_compressed(const std::filesystem::path& path);

/// The contents of a gzip or zstd file (told by its first bytes), mapped. They are unpacked piece by piece into a file without a
/// name in $TMPDIR (else /tmp), which takes their size on disk and goes when the last user lets go of it. Throws Error naming the
/// path: cut or damaged, neither of both, more bytes than the limits allow, no room in the folder.
std::shared_ptr<const MappedFile> decompress(const std::filesystem::path& path, const DecompressLimits& limits = {});

}  // namespace ocelli::data
