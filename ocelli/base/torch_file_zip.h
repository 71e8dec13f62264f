#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>

namespace ocelli::detail {

constexpr uint64_t kMaxZipEntries = 131'072;

struct ZipEntry {
  std::span<const std::byte> bytes;  ///< as they lie in the archive
  uint16_t method = 0;               ///< 0: stored as they are; else compressed
};

/// By name; all point into the archive's bytes.
using ZipEntries = std::map<std::string_view, ZipEntry>;

/// The entries of a zip archive, with or without zip64. Nothing is unpacked. Throws Error naming `origin` and the entry on: no
/// directory in the last bytes (an archive comment, a file cut short), an encrypted entry, a name given twice, an entry whose
/// own header says something else than the directory, entries that overlap or leave the file, more than kMaxZipEntries.
/// Checksums aren't compared: that would read every byte, and torch can be told not to write them.
/// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
ZipEntries read_zip(std::span<const std::byte> bytes, std::string_view origin);

}  // namespace ocelli::detail
