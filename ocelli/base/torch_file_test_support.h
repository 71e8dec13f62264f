#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::test {

struct ZipEntry {
  std::string name;
  std::string contents;
};

/// A zip archive and where its parts begin, for tests that change single bytes.
struct Zip {
  std::string bytes;
  std::vector<size_t> headers;    ///< of entries
  std::vector<size_t> directory;  ///< entries of the directory
  size_t end = 0;                 ///< the last record

  template <typename T>
  void put(size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof(T));
  }
};

template <typename T>
void append(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

/// Writes entries as torch.save does: stored, contents on 64-byte boundaries, sizes behind the contents and in the directory,
/// an end of the directory in both forms. Checksums are 0.
/// `zip64`: each entry's sizes and place are in zip64 fields, as beyond 4 GiB.
inline Zip make_zip(const std::vector<ZipEntry>& entries, bool zip64 = false) {
  Zip zip;
  std::string& out = zip.bytes;
  const auto size_of = [&](const ZipEntry& entry) { return static_cast<uint32_t>(entry.contents.size()); };
  for (const ZipEntry& entry : entries) {
    zip.headers.push_back(out.size());
    append<uint32_t>(out, 0x04034b50);
    for (const uint16_t value : {0, 0x0808, 0, 0, 0}) append<uint16_t>(out, value);
    for (int i = 0; i < 3; ++i) append<uint32_t>(out, 0);
    append<uint16_t>(out, static_cast<uint16_t>(entry.name.size()));
    const size_t padding = (64 - (out.size() + 2 + entry.name.size() + 4) % 64) % 64;
    append<uint16_t>(out, static_cast<uint16_t>(padding + 4));
    out += entry.name + "FB";
    append<uint16_t>(out, static_cast<uint16_t>(padding));
    out.append(padding, 'Z');
    out += entry.contents;
    append<uint32_t>(out, 0x08074b50);
    append<uint32_t>(out, 0);
    append<uint32_t>(out, size_of(entry));
    append<uint32_t>(out, size_of(entry));
  }
  const size_t directory = out.size();
  for (size_t i = 0; i < entries.size(); ++i) {
    zip.directory.push_back(out.size());
    append<uint32_t>(out, 0x02014b50);
    for (const uint16_t value : {0, 0, 0x0808, 0, 0, 0}) append<uint16_t>(out, value);
    append<uint32_t>(out, 0);
    append<uint32_t>(out, zip64 ? 0xFFFFFFFF : size_of(entries[i]));
    append<uint32_t>(out, zip64 ? 0xFFFFFFFF : size_of(entries[i]));
    append<uint16_t>(out, static_cast<uint16_t>(entries[i].name.size()));
    append<uint16_t>(out, zip64 ? 28 : 0);
    for (int k = 0; k < 3; ++k) append<uint16_t>(out, 0);
    append<uint32_t>(out, 0);
    append<uint32_t>(out, zip64 ? 0xFFFFFFFF : static_cast<uint32_t>(zip.headers[i]));
    out += entries[i].name;
    if (!zip64) continue;
    append<uint16_t>(out, 1);
    append<uint16_t>(out, 24);
    for (const size_t value : {entries[i].contents.size(), entries[i].contents.size(), zip.headers[i]})
      append<uint64_t>(out, value);
  }
  const size_t end = out.size();
  append<uint32_t>(out, 0x06064b50);
  append<uint64_t>(out, 44);
  append<uint32_t>(out, 0);
  for (int i = 0; i < 2; ++i) append<uint32_t>(out, 0);
  for (const size_t value : {entries.size(), entries.size(), end - directory, directory}) append<uint64_t>(out, value);
  append<uint32_t>(out, 0x07064b50);
  append<uint32_t>(out, 0);
  append<uint64_t>(out, end);
  append<uint32_t>(out, 1);
  zip.end = out.size();
  append<uint32_t>(out, 0x06054b50);
  append<uint32_t>(out, 0);
  for (int i = 0; i < 2; ++i) append<uint16_t>(out, static_cast<uint16_t>(entries.size()));
  append<uint32_t>(out, static_cast<uint32_t>(end - directory));
  append<uint32_t>(out, static_cast<uint32_t>(directory));
  append<uint16_t>(out, 0);
  return zip;
}

/// A file as torch.save writes it, of a pickle and the contents of storages "0", "1", ….
inline Zip make_torch_file(const std::string& pickle, const std::vector<std::string>& storages = {}) {
  std::vector<ZipEntry> entries{{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}};
  for (size_t i = 0; i < storages.size(); ++i) entries.push_back({"archive/data/" + std::to_string(i), storages[i]});
  return make_zip(entries);
}

// Pieces of a pickle of protocol 2.

inline std::string integer(int32_t value) {
  std::string out = "J";
  append<int32_t>(out, value);
  return out;
}
inline std::string text(std::string_view value) {
  std::string out = "X";
  append<uint32_t>(out, static_cast<uint32_t>(value.size()));
  out += value;
  return out;
}
inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string tuple(const std::vector<int32_t>& values) {
  std::string out = "(";
  for (const int32_t value : values) out += integer(value);
  return out + "t";
}
inline std::string storage(std::string_view type, std::string_view key, int32_t numel) {
  return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + integer(numel) + "tQ";
}
/// A view of a torch.FloatStorage of `numel` elements.
inline std::string tensor(std::string_view key, int32_t numel, int32_t offset, const std::vector<int32_t>& sizes,
                          const std::vector<int32_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage("FloatStorage", key, numel) + integer(offset) +
         tuple(sizes) + tuple(strides) + "\x89}tR";
}
/// `values` as the whole pickle.
inline std::string pickle_of(std::string_view value) {
  return "\x80\x02" + std::string(value) + ".";
}

}  // namespace ocelli::test
