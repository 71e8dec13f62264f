#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/base/safetensors_header.h"
#include "ocelli/base/safetensors_writer.h"
#include "ocelli/base/tensor_file.h"

namespace ocelli {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are used as they lie in the file");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kAlignment = 64;

std::string shown(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// The data area must be covered exactly: no overlap, no hole, nothing behind it. So no byte of the file has two meanings or
/// none.
void check_coverage(const std::vector<detail::HeaderEntry>& entries, uint64_t data_bytes, std::string_view origin) {
  std::vector<const detail::HeaderEntry*> order;
  order.reserve(entries.size());
  for (const auto& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return std::pair(a->begin, a->end) < std::pair(b->begin, b->end); });
  uint64_t covered = 0;
  const detail::HeaderEntry* previous = nullptr;
  for (const auto* entry : order) {
    if (entry->begin < covered) {
      fail("{}: tensors {} and {} overlap at byte {} of the data", origin, detail::quoted_name(previous->name),
           detail::quoted_name(entry->name), entry->begin);
    }
    if (entry->begin > covered) {
      fail("{}: bytes {} to {} of the data, before tensor {}, belong to no tensor", origin, covered, entry->begin,
           detail::quoted_name(entry->name));
    }
    covered = entry->end;
    previous = entry;
  }
  if (covered > data_bytes) fail("{}: truncated: {} bytes of data, the header names {}", origin, data_bytes, covered);
  if (covered < data_bytes) fail("{}: {} bytes behind the last tensor belong to no tensor", origin, data_bytes - covered);
}

class SafetensorsFile final : public TensorFile {
 public:
  SafetensorsFile(std::span<const std::byte> bytes, std::filesystem::path path, std::shared_ptr<const void> owner) {
    path_ = std::move(path);
    owner_ = std::move(owner);
    const std::string origin = path_.string();
    require(bytes.size() >= kLengthBytes, "{}: truncated header: {} bytes, a safetensors file has at least {}", origin,
            bytes.size(), kLengthBytes);
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
    require(header_bytes <= detail::kMaxHeaderBytes, "{}: header of {} bytes is too large, the limit is {}", origin, header_bytes,
            detail::kMaxHeaderBytes);
    require(header_bytes <= bytes.size() - kLengthBytes, "{}: truncated header: {} bytes announced, {} in the file", origin,
            header_bytes, bytes.size() - kLengthBytes);
    const auto data = bytes.subspan(kLengthBytes + header_bytes);
    auto header = detail::parse_header(
        {reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, static_cast<size_t>(header_bytes)}, origin);
    for (const auto& entry : header.entries) {
      uint64_t size = 0;
      if (!detail::bytes_of(entry.dtype, entry.shape, size)) {
        fail("{}: tensor {}: the size of shape {} overflows", origin, detail::quoted_name(entry.name), shown(entry.shape));
      }
      if (entry.end < entry.begin || entry.end - entry.begin != size) {
        fail("{}: tensor {}: data_offsets {} to {} don't fit {} {}, which takes {} bytes", origin,
             detail::quoted_name(entry.name), entry.begin, entry.end, name_of(entry.dtype), shown(entry.shape), size);
      }
    }
    check_coverage(header.entries, data.size(), origin);
    for (auto& entry : header.entries) {
      tensors_.emplace(std::move(entry.name),
                       RawTensor{entry.dtype, std::move(entry.shape), data.subspan(entry.begin, entry.end - entry.begin)});
    }
    metadata_ = std::move(header.metadata);
  }
};

/// `text` as a JSON string; a name that isn't UTF-8 can't be written.
std::string json_string(const std::string& text, const std::string& origin) {
  try {
    return Json(text).dump();
  } catch (const Json::type_error&) {
    fail("{}: name {} isn't UTF-8", origin, detail::quoted_name(text));
  }
}

}  // namespace

std::unique_ptr<TensorFile> open_safetensors(const std::filesystem::path& path) {
  auto map = MappedFile::open(path);
  return std::make_unique<SafetensorsFile>(map->bytes(), path, map);
}

std::unique_ptr<TensorFile> parse_safetensors(std::span<const std::byte> bytes, const std::string& origin) {
  return std::make_unique<SafetensorsFile>(bytes, origin, nullptr);
}

namespace detail {

std::string make_header(const TensorMap& tensors, const std::map<std::string, std::string>& metadata, const std::string& origin,
                        std::vector<const RawTensor*>& order) {
  require(tensors.size() <= kMaxTensors, "{}: {} tensors, the limit is {}", origin, tensors.size(), kMaxTensors);
  require(metadata.size() <= kMaxMetadataEntries, "{}: {} metadata entries, the limit is {}", origin, metadata.size(),
          kMaxMetadataEntries);
  struct Item {
    const std::string* name;
    const RawTensor* tensor;
    uint64_t alignment;
  };
  std::vector<Item> items;
  for (const auto& [name, tensor] : tensors) {
    require(name != "__metadata__", "{}: a tensor can't be named __metadata__", origin);
    require(tensor.shape.size() <= kMaxRank, "{}: tensor {} has {} dimensions, the limit is {}", origin, quoted_name(name),
            tensor.shape.size(), kMaxRank);
    uint64_t size = 0;
    require(bytes_of(tensor.dtype, tensor.shape, size), "{}: tensor {}: the size of shape {} is negative or overflows", origin,
            quoted_name(name), shown(tensor.shape));
    require(size == tensor.data.size(), "{}: tensor {}: {} {} takes {} bytes, given {}", origin, quoted_name(name),
            name_of(tensor.dtype), shown(tensor.shape), size, tensor.data.size());
    items.push_back({&name, &tensor, size == 0 ? kAlignment : std::min(kAlignment, size & (~size + 1))});
  }
  // By the power of two that divides the size, largest first: each offset is a sum of sizes that its own alignment divides.
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.alignment > b.alignment; });

  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      text += fmt::format("{}{}:{}", text.back() == '{' ? "" : ",", json_string(key, origin), json_string(value, origin));
    }
    text += '}';
  }
  uint64_t offset = 0;
  order.clear();
  for (const Item& item : items) {
    const uint64_t end = offset + item.tensor->data.size();
    text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", text.size() == 1 ? "" : ",",
                        json_string(*item.name, origin), name_of(item.tensor->dtype), fmt::join(item.tensor->shape, ","), offset,
                        end);
    offset = end;
    order.push_back(item.tensor);
  }
  text += '}';
  const uint64_t unpadded = kLengthBytes + text.size();
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  require(text.size() <= kMaxHeaderBytes, "{}: a header of {} bytes, the limit is {}", origin, text.size(), kMaxHeaderBytes);
  return text;
}

void write_tensors(AtomicFile& file, const TensorMap& tensors, const std::map<std::string, std::string>& metadata,
                   const std::string& origin) {
  std::vector<const RawTensor*> order;
  const std::string header = make_header(tensors, metadata, origin, order);
  const uint64_t length = header.size();
  file.write(&length, sizeof(length));
  file.write(header);
  for (const RawTensor* tensor : order) file.write(tensor->data.data(), tensor->data.size());
}

}  // namespace detail

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, RawTensor, std::less<>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  detail::write_tensors(file, tensors, metadata, path.string());
  file.commit();
}

}  // namespace ocelli
