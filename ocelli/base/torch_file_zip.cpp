#include "ocelli/base/torch_file_zip.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/base/safetensors_header.h"

namespace ocelli::detail {
namespace {

using Bytes = std::span<const std::byte>;

constexpr uint32_t kEntrySignature = 0x04034b50;
constexpr uint32_t kDirectorySignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;

constexpr uint64_t kEntryBytes = 30;
constexpr uint64_t kDirectoryBytes = 46;
constexpr uint64_t kEndBytes = 22;
constexpr uint64_t kEnd64Bytes = 56;
constexpr uint64_t kLocator64Bytes = 20;

constexpr uint32_t kIn64 = 0xFFFFFFFF;  ///< "the value is in the zip64 field"
constexpr uint16_t kZip64Field = 1;
constexpr uint16_t kEncryptedFlags = 1U | 1U << 6 | 1U << 13;
constexpr uint16_t kSizesFollowFlag = 1U << 3;  ///< torch writes sizes behind the contents and in the directory

/// The little-endian number at byte `at`, which the caller has found to lie within `bytes`.
template <typename T>
T number(Bytes bytes, uint64_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

std::string_view text(Bytes bytes, uint64_t at, uint64_t size) {
  return {reinterpret_cast<const char*>(bytes.data()) + at, static_cast<size_t>(size)};
}

struct Directory {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t num_entries = 0;
};

struct Place {
  std::string_view name;
  uint16_t method = 0;
  uint64_t size = 0;  ///< in the archive
  uint64_t unpacked = 0;
  uint64_t begin = 0;  ///< of its header
  uint64_t end = 0;    ///< of its contents
};

class ZipReader {
 public:
  ZipReader(Bytes bytes, std::string_view origin) : bytes_(bytes), origin_(origin) {}

  ZipEntries read() {
    const Directory directory = find_directory();
    ZipEntries result;
    std::vector<Place> entries;
    entries.reserve(directory.num_entries);
    uint64_t at = directory.begin;
    for (uint64_t i = 0; i < directory.num_entries; ++i) {
      Place entry = read_directory_entry(directory, at);
      const uint64_t contents = check_entry(entry, directory.begin);
      if (!result.emplace(entry.name, ZipEntry{bytes_.subspan(contents, entry.size), entry.method}).second) {
        fail("{}: zip entry {} is given twice", origin_, quoted_name(entry.name));
      }
      entries.push_back(entry);
    }
    require(at == directory.end, "{}: {} bytes behind the last of {} entries of the zip directory", origin_, directory.end - at,
            directory.num_entries);
    check_disjoint(entries);
    return result;
  }

 private:
  Directory find_directory() const {
    const uint64_t size = bytes_.size();
    require(size >= kEndBytes && number<uint32_t>(bytes_, size - kEndBytes) == kEndSignature &&
                number<uint16_t>(bytes_, size - 2) == 0,
            "{}: truncated: its last {} bytes are not the end of a zip directory without comment", origin_, kEndBytes);
    const uint64_t at = size - kEndBytes;
    const auto disk = number<uint16_t>(bytes_, at + 4);
    const auto directory_disk = number<uint16_t>(bytes_, at + 6);
    uint64_t entries_here = number<uint16_t>(bytes_, at + 8);
    uint64_t num_entries = number<uint16_t>(bytes_, at + 10);
    uint64_t directory_size = number<uint32_t>(bytes_, at + 12);
    uint64_t offset = number<uint32_t>(bytes_, at + 16);
    uint64_t end = at;
    bool one_disk = disk == 0 && directory_disk == 0;
    if (at >= kLocator64Bytes && number<uint32_t>(bytes_, at - kLocator64Bytes) == kLocator64Signature) {
      const uint64_t locator = at - kLocator64Bytes;
      end = number<uint64_t>(bytes_, locator + 8);
      require(end <= locator && locator - end >= kEnd64Bytes && number<uint32_t>(bytes_, end) == kEnd64Signature &&
                  number<uint64_t>(bytes_, end + 4) == locator - end - 12,
              "{}: byte {} is named as the zip64 end of the zip directory but isn't one", origin_, end);
      one_disk = one_disk && number<uint32_t>(bytes_, locator + 4) == 0 && number<uint32_t>(bytes_, end + 16) == 0 &&
                 number<uint32_t>(bytes_, end + 20) == 0;
      take64(entries_here, 0xFFFF, number<uint64_t>(bytes_, end + 24));
      take64(num_entries, 0xFFFF, number<uint64_t>(bytes_, end + 32));
      take64(directory_size, kIn64, number<uint64_t>(bytes_, end + 40));
      take64(offset, kIn64, number<uint64_t>(bytes_, end + 48));
    }
    require(one_disk && entries_here == num_entries, "{}: a part of a zip archive in several files, expected one file", origin_);
    require(directory_size <= end && offset == end - directory_size,
            "{}: a zip directory of {} bytes at byte {}, expected one that ends at byte {}", origin_, directory_size, offset,
            end);
    require(num_entries <= kMaxZipEntries, "{}: {} zip entries, the limit is {}", origin_, num_entries, kMaxZipEntries);
    require(num_entries <= directory_size / kDirectoryBytes, "{}: a zip directory of {} bytes can't hold {} entries", origin_,
            directory_size, num_entries);
    return {offset, end, num_entries};
  }

  /// The zip64 value in place of the short one, which says the same or that it is too small to.
  void take64(uint64_t& value, uint64_t in64, uint64_t value64) const {
    require(value == in64 || value == value64, "{}: the zip directory's ends differ: {} and {}", origin_, value, value64);
    value = value64;
  }

  /// One entry of the directory; moves `at` behind it.
  Place read_directory_entry(const Directory& directory, uint64_t& at) const {
    require(directory.end - at >= kDirectoryBytes && number<uint32_t>(bytes_, at) == kDirectorySignature,
            "{}: byte {} isn't an entry of the zip directory", origin_, at);
    const uint64_t name_size = number<uint16_t>(bytes_, at + 28);
    const uint64_t extra_size = number<uint16_t>(bytes_, at + 30);
    const uint64_t all = kDirectoryBytes + name_size + extra_size + number<uint16_t>(bytes_, at + 32);
    require(all <= directory.end - at, "{}: the entry at byte {} leaves the zip directory", origin_, at);
    Place entry;
    entry.name = text(bytes_, at + kDirectoryBytes, name_size);
    entry.method = number<uint16_t>(bytes_, at + 10);
    require((number<uint16_t>(bytes_, at + 8) & kEncryptedFlags) == 0, "{}: zip entry {} is encrypted", origin_,
            quoted_name(entry.name));
    entry.size = number<uint32_t>(bytes_, at + 20);
    entry.unpacked = number<uint32_t>(bytes_, at + 24);
    entry.begin = number<uint32_t>(bytes_, at + 42);
    read_zip64(bytes_.subspan(at + kDirectoryBytes + name_size, extra_size), entry.name,
               {&entry.unpacked, &entry.size, &entry.begin});
    require(entry.method != 0 || entry.unpacked == entry.size, "{}: zip entry {} is stored, yet holds {} bytes in {}", origin_,
            quoted_name(entry.name), entry.unpacked, entry.size);
    at += all;
    return entry;
  }

  /// Replaces those of `values` that are 0xFFFFFFFF by the zip64 field's, which come in the same order.
  void read_zip64(Bytes extra, std::string_view name, std::initializer_list<uint64_t*> values) const {
    if (std::none_of(values.begin(), values.end(), [](const uint64_t* value) { return *value == kIn64; })) return;
    while (extra.size() >= 4) {
      const uint64_t size = number<uint16_t>(extra, 2);
      if (size > extra.size() - 4) break;
      if (number<uint16_t>(extra, 0) == kZip64Field) {
        uint64_t at = 4;
        for (uint64_t* value : values) {
          if (*value != kIn64) continue;
          require(size + 4 - at >= 8, "{}: the zip64 field of zip entry {} is too short", origin_, quoted_name(name));
          *value = number<uint64_t>(extra, at);
          at += 8;
        }
        return;
      }
      extra = extra.subspan(4 + size);
    }
    fail("{}: zip entry {} has no zip64 field, which its sizes refer to", origin_, quoted_name(name));
  }

  /// Holds the header before the contents against the directory; sets entry.end. Returns where the contents begin.
  uint64_t check_entry(Place& entry, uint64_t directory_begin) const {
    const std::string shown = quoted_name(entry.name);
    require(entry.begin <= directory_begin && directory_begin - entry.begin >= kEntryBytes &&
                number<uint32_t>(bytes_, entry.begin) == kEntrySignature,
            "{}: zip entry {} isn't at byte {}, where the zip directory says it is", origin_, shown, entry.begin);
    const uint64_t name_size = number<uint16_t>(bytes_, entry.begin + 26);
    const uint64_t extra_size = number<uint16_t>(bytes_, entry.begin + 28);
    const uint64_t header = kEntryBytes + name_size + extra_size;
    const uint64_t room = directory_begin - entry.begin;
    require(header <= room && entry.size <= room - header,
            "{}: zip entry {}: {} bytes at byte {} reach beyond the entries' end at byte {}", origin_, shown, entry.size,
            entry.begin, directory_begin);
    const auto flags = number<uint16_t>(bytes_, entry.begin + 6);
    require(text(bytes_, entry.begin + kEntryBytes, name_size) == entry.name &&
                number<uint16_t>(bytes_, entry.begin + 8) == entry.method && (flags & kEncryptedFlags) == 0,
            "{}: zip entry {}: the header at byte {} names another entry or another method", origin_, shown, entry.begin);
    uint64_t size = number<uint32_t>(bytes_, entry.begin + 18);
    uint64_t unpacked = number<uint32_t>(bytes_, entry.begin + 22);
    const bool left_open = (flags & kSizesFollowFlag) != 0 && (unpacked == 0 || unpacked == kIn64);
    if (!left_open) {
      const Bytes extra = bytes_.subspan(entry.begin + kEntryBytes + name_size, extra_size);
      read_zip64(extra, entry.name, {&unpacked, &size});
      require(size == entry.size && unpacked == entry.unpacked,
              "{}: zip entry {}: {} bytes by its own header, {} by the zip directory", origin_, shown, size, entry.size);
    }
    entry.end = entry.begin + header + entry.size;
    return entry.end - entry.size;
  }

  void check_disjoint(std::vector<Place>& entries) const {
    std::sort(entries.begin(), entries.end(), [](const Place& a, const Place& b) { return a.begin < b.begin; });
    for (size_t i = 1; i < entries.size(); ++i) {
      require(entries[i - 1].end <= entries[i].begin, "{}: zip entries {} and {} overlap at byte {}", origin_,
              quoted_name(entries[i - 1].name), quoted_name(entries[i].name), entries[i].begin);
    }
  }

  Bytes bytes_;
  std::string_view origin_;
};

}  // namespace

ZipEntries read_zip(std::span<const std::byte> bytes, std::string_view origin) {
  return ZipReader(bytes, origin).read();
}

}  // namespace ocelli::detail
