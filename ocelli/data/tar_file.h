#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ocelli/base/file.h"

namespace ocelli::data {

/// A regular file inside a tar archive.
struct TarMember {
  std::string name;             ///< as the archive has it; never used as a path on disk
  uint64_t begin = 0;           ///< where its headers start, long-name headers included: a TarReader can start here
  std::string_view contents{};  ///< inside the archive's bytes
};

/// Reads the headers of a tar archive one behind the other, in memory that holds all of it; nothing is unpacked.
/// Known: v7, ustar, pax (`path`, `size`) and GNU's long names. Folders and volume labels are skipped.
/// Sources: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
class TarReader {
 public:
  /// `archive` and what `origin` names must outlive the reader; `begin` is the start of the archive or a TarMember::begin.
  TarReader(std::span<const std::byte> archive, const std::string& origin, uint64_t begin = 0);

  /// The next regular file; none behind the last. Throws Error naming origin, byte and member on: an archive that ends inside a
  /// header, inside a member or without its closing zero block; a wrong checksum; a size that is no number, negative or beyond
  /// the archive; two headers that disagree about a size; a name above 4 KiB; links, devices and sparse files; a second archive
  /// joined behind the end of the first.
  std::optional<TarMember> next();
  /// Where the next headers are looked for.
  uint64_t position() const { return at_; }

 private:
  struct Extended;
  std::string_view text(uint64_t begin, uint64_t size) const { return bytes_.substr(begin, size); }
  uint64_t size_of(std::string_view header) const;
  void check(std::string_view header) const;
  void read_pax(std::string_view records, bool global, Extended& extended) const;
  void check_end() const;
  std::string_view take_contents(uint64_t size, const std::string& what, uint64_t limit);

  std::string_view bytes_;
  const std::string& origin_;
  uint64_t at_;
};

/// Writes a tar archive into a file: ustar, with a pax header for names above 100 bytes. Owner 0, mode 0644 and time 0, so that
/// the same members make the same bytes.
class TarWriter {
 public:
  explicit TarWriter(AtomicFile& file) : file_(file) {}
  /// Throws Error when the name is empty, above 4 KiB or holds a NUL, or the disk is full.
  void add(const std::string& name, std::string_view contents);
  /// The closing zero blocks. The file is the caller's to commit.
  void finish();

 private:
  void add_header(const std::string& name, uint64_t size, char type);
  void add_contents(std::string_view contents);
  AtomicFile& file_;
};

}  // namespace ocelli::data
