#include "ocelli/data/tar_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include "ocelli/base/error.h"

namespace ocelli::data {
namespace {

constexpr uint64_t kBlock = 512;
constexpr uint64_t kLongestName = 4096;
constexpr uint64_t kLargestPax = 1 << 20;
/// What ustar's eleven octal digits can say.
constexpr uint64_t kLargestOctal = (uint64_t{1} << 33) - 1;

/// Where the fields of a header lie, POSIX.1-2017 pax, table 4-14.
struct Field {
  size_t begin, size;
};
constexpr Field kName = {0, 100}, kMode = {100, 8}, kOwner = {108, 8}, kGroup = {116, 8}, kSize = {124, 12}, kTime = {136, 12},
                kChecksum = {148, 8}, kMagic = {257, 8}, kPrefix = {345, 155};
constexpr size_t kType = 156;

std::string_view field(std::string_view header, Field which) {
  return header.substr(which.begin, which.size);
}

std::string_view until_nul(std::string_view text) {
  return text.substr(0, text.find('\0'));
}

/// Digits among spaces and NULs; none: something else stands there. A blank field is 0, as GNU tar reads it.
std::optional<uint64_t> octal(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  uint64_t value = 0;
  size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '7'; ++digits) {
    if (value >> 60 != 0) return std::nullopt;
    value = value << 3 | static_cast<uint64_t>(text[digits] - '0');
  }
  if (text.find_first_not_of(std::string_view(" \0", 2), digits) != std::string_view::npos) return std::nullopt;
  return value;
}

uint64_t padded(uint64_t size) {
  return (size + kBlock - 1) / kBlock * kBlock;
}

bool is_zero(std::string_view block) {
  return block.find_first_not_of('\0') == std::string_view::npos;
}

/// The sum of a header's bytes with the checksum's own taken as spaces; old tars summed signed bytes.
template <typename Byte>
int64_t sum_of(std::string_view header) {
  int64_t sum = 0;
  for (size_t i = 0; i < header.size(); ++i) {
    const bool own = i >= kChecksum.begin && i < kChecksum.begin + kChecksum.size;
    sum += own ? int64_t{' '} : int64_t{static_cast<Byte>(header[i])};
  }
  return sum;
}

/// "<length> key=value\n", where the length counts its own digits.
std::string pax_record(const std::string& key, const std::string& value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest;
  while (rest + std::to_string(length).size() != length) length = rest + std::to_string(length).size();
  return fmt::format("{} {}={}\n", length, key, value);
}

}  // namespace

/// What headers in front of a member say about it.
struct TarReader::Extended {
  std::string name;              ///< empty: the member's own
  std::optional<uint64_t> size;  ///< none: the member's own
};

TarReader::TarReader(std::span<const std::byte> archive, const std::string& origin, uint64_t begin)
    : bytes_(reinterpret_cast<const char*>(archive.data()), archive.size()), origin_(origin), at_(begin) {}

uint64_t TarReader::size_of(std::string_view header) const {
  const std::string_view bytes = field(header, kSize);
  const auto first = static_cast<unsigned char>(bytes[0]);
  if (first < 0x80) {
    const std::optional<uint64_t> size = octal(bytes);
    require(size.has_value(), "{}: byte {}: the size of \"{}\" is no octal number; the archive is damaged", origin_, at_,
            until_nul(field(header, kName)));
    return *size;
  }
  // GNU's base 256: a sign bit in the first byte, then a big-endian number.
  require(first == 0x80, "{}: byte {}: the size of \"{}\" is negative or above 2^88; the archive is damaged", origin_, at_,
          until_nul(field(header, kName)));
  uint64_t value = 0;
  for (const char c : bytes.substr(1)) {
    require(value >> 55 == 0, "{}: byte {}: the size of \"{}\" is above 2^63; the archive is damaged", origin_, at_,
            until_nul(field(header, kName)));
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

void TarReader::check(std::string_view header) const {
  const std::optional<uint64_t> stated = octal(field(header, kChecksum));
  const bool right = stated && (static_cast<int64_t>(*stated) == sum_of<unsigned char>(header) ||
                                static_cast<int64_t>(*stated) == sum_of<signed char>(header));
  require(right, "{}: byte {}: the header's checksum is wrong: the archive is damaged here, or is no tar archive", origin_, at_);
}

void TarReader::read_pax(std::string_view records, bool global, Extended& extended) const {
  while (!records.empty() && records.front() != '\0') {
    size_t length = 0;
    const auto [end, error] = std::from_chars(records.data(), records.data() + records.size(), length);
    const auto digits = static_cast<size_t>(end - records.data());
    require(error == std::errc() && length > digits + 2 && length <= records.size() && records[digits] == ' ' &&
                records[length - 1] == '\n',
            "{}: byte {}: a pax header's record is not \"length key=value\"; the archive is damaged", origin_, at_);
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    records.remove_prefix(length);
    const size_t equals = record.find('=');
    require(equals != std::string_view::npos, "{}: byte {}: a pax header's record has no '='; the archive is damaged", origin_,
            at_);
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    require(!key.starts_with("GNU.sparse"), "{}: byte {}: a sparse file; pack the archive without --sparse", origin_, at_);
    if (key != "path" && key != "size") continue;
    // One name or size for all members that follow means nothing but trouble.
    require(!global, "{}: byte {}: a global pax header sets \"{}\"; the archive is damaged", origin_, at_, key);
    if (key == "path") {
      require(!value.empty() && value.size() <= kLongestName && value.find('\0') == std::string_view::npos,
              "{}: byte {}: a pax header gives a name of {} bytes, expected 1 to {} and no NUL", origin_, at_, value.size(),
              kLongestName);
      extended.name = value;
      continue;
    }
    uint64_t size = 0;
    const auto [last, bad] = std::from_chars(value.data(), value.data() + value.size(), size);
    require(bad == std::errc() && last == value.data() + value.size(),
            "{}: byte {}: a pax header's size is \"{}\", expected a number", origin_, at_, value.substr(0, 40));
    extended.size = size;
  }
}

/// Zero blocks may follow up to the end; anything else is a second archive, which most readers would silently leave out.
void TarReader::check_end() const {
  const size_t more = bytes_.find_first_not_of('\0', at_);
  require(more == std::string_view::npos,
          "{}: byte {}: the archive ends, but something follows at byte {}; archives are joined with `tar -A`, not with `cat`",
          origin_, at_, more);
}

std::string_view TarReader::take_contents(uint64_t size, const std::string& what, uint64_t limit) {
  require(size <= limit, "{}: byte {}: {} has {} bytes, at most {} are allowed", origin_, at_, what, size, limit);
  const uint64_t begin = at_ + kBlock;
  require(size <= bytes_.size() - begin,
          "{}: byte {}: {} has {} bytes, but only {} follow; the archive is cut, fetch or make it again", origin_, at_, what,
          size, bytes_.size() - begin);
  // The padding of a last member may be missing: the check for the closing block names that.
  at_ = std::min<uint64_t>(begin + padded(size), bytes_.size());
  return text(begin, size);
}

std::optional<TarMember> TarReader::next() {
  Extended extended;
  TarMember member;
  member.begin = at_;
  for (;;) {
    require(at_ < bytes_.size(),
            "{}: it ends at byte {} without the zero block that closes a tar archive; it is cut, fetch or make it "
            "again",
            origin_, at_);
    require(kBlock <= bytes_.size() - at_, "{}: it ends inside the header at byte {}; the archive is cut, fetch or make it again",
            origin_, at_);
    const std::string_view header = text(at_, kBlock);
    if (is_zero(header)) {
      check_end();
      return std::nullopt;
    }
    check(header);
    uint64_t size = size_of(header);
    const char type = header[kType];
    if (type == 'L') {
      extended.name = until_nul(take_contents(size, "a GNU long name", kLongestName + 1));
      require(!extended.name.empty(), "{}: byte {}: a GNU long name is empty; the archive is damaged", origin_, at_);
      continue;
    }
    if (type == 'x' || type == 'g') {
      // Read before moving on, so that errors name the header's own byte.
      const uint64_t own = at_;
      const std::string_view records = take_contents(size, "a pax header", kLargestPax);
      const uint64_t behind = std::exchange(at_, own);
      read_pax(records, type == 'g', extended);
      at_ = behind;
      continue;
    }
    member.name = extended.name;
    if (member.name.empty()) {
      const std::string_view prefix = field(header, kMagic).starts_with(std::string_view("ustar\0", 6))
                                          ? until_nul(field(header, kPrefix))
                                          : std::string_view();
      member.name = prefix.empty() ? "" : std::string(prefix) + "/";
      member.name += until_nul(field(header, kName));
    }
    if (extended.size) {
      // Parsers that trust one of two sizes can be made to see different archives (CVE-2025-62518). A ustar field that is too
      // small for the number holds zero or all ones.
      require(size == *extended.size || (*extended.size > kLargestOctal && (size == 0 || size == kLargestOctal)),
              "{}: byte {}: the size of \"{}\" is {} in its header and {} in its pax header; the archive is damaged", origin_,
              at_, member.name, size, *extended.size);
      size = *extended.size;
    }
    require(type != 'S', "{}: byte {}: \"{}\" is a sparse file; pack the archive without --sparse", origin_, at_, member.name);
    require(type != '1' && type != '2' && type != 'K',
            "{}: byte {}: \"{}\" is a link; pack the archive with --dereference --hard-dereference", origin_, at_, member.name);
    const bool regular = type == '0' || type == '\0' || type == '7';
    require(regular || type == '5' || type == 'V',
            "{}: byte {}: \"{}\" is no regular file (type '{}'); leave it out of the archive", origin_, at_, member.name,
            type >= ' ' && type <= '~' ? type : '?');
    // Old tars mark a folder by its name alone. A folder's size says nothing about bytes that follow.
    const bool folder = type == '5' || type == 'V' || (member.name.ends_with('/') && size == 0);
    member.contents = take_contents(folder ? 0 : size, '"' + member.name + '"', std::numeric_limits<uint64_t>::max());
    if (!folder) {
      require(!member.name.empty(), "{}: a file without a name in front of byte {}; the archive is damaged", origin_, at_);
      return member;
    }
    extended = {};
    member.begin = at_;
  }
}

void TarWriter::add_header(const std::string& name, uint64_t size, char type) {
  require(size <= kLargestOctal, "tar member {}: {} bytes, a tar member has at most 8 GiB", name, size);
  std::array<char, kBlock> header{};
  const auto put = [&](Field where, const std::string& text) {
    std::memcpy(header.data() + where.begin, text.data(), std::min(text.size(), where.size));
  };
  put(kName, name);
  put(kMode, "0000644");
  put(kOwner, "0000000");
  put(kGroup, "0000000");
  put(kSize, fmt::format("{:011o}", size));
  put(kTime, "00000000000");
  put(kMagic, std::string("ustar\0"
                          "00",
                          8));
  header[kType] = type;
  put(kChecksum, fmt::format("{:06o}", sum_of<unsigned char>({header.data(), header.size()})) + std::string("\0 ", 2));
  file_.write(header.data(), header.size());
}

void TarWriter::add_contents(std::string_view contents) {
  static constexpr std::array<char, kBlock> kZeros{};
  file_.write(contents);
  file_.write(kZeros.data(), padded(contents.size()) - contents.size());
}

void TarWriter::add(const std::string& name, std::string_view contents) {
  require(!name.empty() && name.size() <= kLongestName && name.find('\0') == std::string::npos,
          "tar member \"{}\": a name of {} bytes, expected 1 to {} and no NUL", name.substr(0, 80), name.size(), kLongestName);
  if (name.size() > kName.size) {
    const std::string record = pax_record("path", name);
    add_header("pax_header", record.size(), 'x');
    add_contents(record);
  }
  add_header(name, contents.size(), '0');
  add_contents(contents);
}

void TarWriter::finish() {
  static constexpr std::array<char, 2 * kBlock> kZeros{};
  file_.write(kZeros.data(), kZeros.size());
}

}  // namespace ocelli::data
