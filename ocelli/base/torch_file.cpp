#include <bit>
#include <cassert>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/pickle.h"
#include "ocelli/base/safetensors_header.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/base/torch_file_names.h"
#include "ocelli/base/torch_file_zip.h"

namespace ocelli {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are used as they lie in the file");

using Bytes = std::span<const std::byte>;

/// Tensors put in C order, on 64-byte boundaries.
class Copies {
 public:
  std::span<std::byte> add(uint64_t size) {
    blocks_.emplace_back(static_cast<std::byte*>(::operator new(size, kAlignment)));
    return {blocks_.back().get(), static_cast<size_t>(size)};
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::byte* block) const { ::operator delete(block, kAlignment); }
  };
  std::vector<std::unique_ptr<std::byte, Free>> blocks_;
};

/// Bytes that copies may take beyond the file's own size, so that views that share much data in a small file are read.
constexpr uint64_t kMoreCopies = 16 << 20;

struct Owner {
  std::shared_ptr<const void> map;
  Copies copies;
};

/// The line that rewrites a file of another form. A path that a shell or Python would read otherwise is left out.
std::string conversion(const std::string& path, std::string_view arguments = "weights_only=True") {
  const bool plain = path.find_first_of("'\"\\$`!\n") == std::string::npos;
  const std::string shown = plain ? path : "FILE";
  return fmt::format("python -c \"import torch; torch.save(torch.load('{}', {}), '{}.new')\"", shown, arguments, shown);
}

/// Names the older and other forms a file of tensors may have.
void check_form(Bytes bytes, const std::string& path) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("PK\x03\x04")) return;
  if (text.starts_with('\x80')) {
    fail("{}: a bare pickle, as torch wrote before 1.6, expected the zip form that torch.save writes; convert it: {}", path,
         conversion(path));
  }
  constexpr size_t kTarMagicAt = 257;
  if (text.size() > kTarMagicAt && text.substr(kTarMagicAt).starts_with("ustar")) {
    fail(
        "{}: the tar form of torch before 0.4, expected the zip form that torch.save writes; convert it, but only when you trust "
        "who made it, since this runs code in the file: {}",
        path, conversion(path, "weights_only=False"));
  }
  fail("{}: no torch file: begins with {}, expected the zip form that torch.save writes", path,
       detail::quoted_name(text.substr(0, 16)));
}

/// C order: what torch calls contiguous. Strides of dimensions of size 1 mean nothing.
bool is_contiguous(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  int64_t expected = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] == 1) continue;
    if (strides[i] != expected) return false;
    expected *= sizes[i];
  }
  return true;
}

/// The element behind the last one a strided view touches; false when it overflows or a stride is negative.
bool end_of(int64_t offset, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides, int64_t& end) {
  end = offset;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t reach = 0;
    if (strides[i] < 0 || __builtin_mul_overflow(sizes[i] - 1, strides[i], &reach)) return false;
    if (__builtin_add_overflow(end, reach, &end)) return false;
  }
  return !__builtin_add_overflow(end, 1, &end);
}

/// Copies a strided view of elements of kElement bytes in C order. `from` begins at the view's first element; there is at
/// least one dimension, and each has at least one element.
template <size_t kElement>
void gather(std::byte* to, const std::byte* from, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  const auto last = static_cast<size_t>(sizes.size() - 1);
  std::vector<int64_t> place(last, 0);
  int64_t row = 0;  // the element a row begins with
  for (;;) {
    for (int64_t i = 0; i < sizes[last]; ++i, to += kElement) {
      std::memcpy(to, from + static_cast<uint64_t>(row + i * strides[last]) * kElement, kElement);
    }
    size_t dimension = last;
    for (; dimension > 0; --dimension) {
      const size_t outer = dimension - 1;
      row += strides[outer];
      if (++place[outer] < sizes[outer]) break;
      row -= strides[outer] * sizes[outer];
      place[outer] = 0;
    }
    if (dimension == 0) return;
  }
}

void gather(std::byte* to, const std::byte* from, const std::vector<int64_t>& sizes, std::vector<int64_t> strides,
            int64_t element) {
  // A stride that is never taken may be any number; as 0 it can't overflow.
  for (size_t i = 0; i < sizes.size(); ++i) strides[i] = sizes[i] == 1 ? 0 : strides[i];
  switch (element) {
    case 1:
      return gather<1>(to, from, sizes, strides);
    case 2:
      return gather<2>(to, from, sizes, strides);
    case 4:
      return gather<4>(to, from, sizes, strides);
    default:
      assert(element == 8);
      return gather<8>(to, from, sizes, strides);
  }
}

class TorchFile final : public TensorFile {
 public:
  TorchFile(Bytes bytes, std::filesystem::path path, std::shared_ptr<const void> map) {
    path_ = std::move(path);
    auto owner = std::make_shared<Owner>();
    owner->map = std::move(map);
    const std::string origin = path_.string();
    check_form(bytes, origin);
    entries_ = detail::read_zip(bytes, origin);
    find_folder(origin);
    const detail::Pickle pickle = detail::read_pickle(*contents(folder_ + "data.pkl"), origin);
    copies_left_ = bytes.size() + kMoreCopies;
    for (const auto& [name, tensor] : detail::name_tensors(pickle, origin)) {
      tensors_.emplace(name, read_tensor(pickle, pickle.tensors[tensor], detail::quoted_name(name), owner->copies));
    }
    owner_ = std::move(owner);
    entries_.clear();
  }

 private:
  /// torch.save puts everything into one folder of any name.
  void find_folder(const std::string& origin) {
    constexpr std::string_view kPickle = "/data.pkl";
    for (const auto& [name, entry] : entries_) {
      if (!name.ends_with(kPickle) || name.find('/') != name.size() - kPickle.size()) continue;
      require(folder_.empty(), "{}: a zip archive with {} and another data.pkl, expected one", origin,
              detail::quoted_name(folder_ + "data.pkl"));
      folder_ = name.substr(0, name.size() - kPickle.size() + 1);
    }
    require(!folder_.empty(), "{}: a zip archive without data.pkl, expected one that torch.save wrote", origin);
    require(!entries_.contains(folder_ + "constants.pkl"),
            "{}: a TorchScript program, expected tensors alone; save them by torch.save(torch.jit.load(FILE).state_dict(), NEW)",
            origin);
    const auto order = contents(folder_ + "byteorder");
    if (!order) return;
    const std::string_view text(reinterpret_cast<const char*>(order->data()), order->size());
    require(text == "little", "{}: byte order {}, expected \"little\"; convert it: {}", origin, detail::quoted_name(text),
            conversion(origin));
  }

  RawTensor read_tensor(const detail::Pickle& pickle, const detail::PickledTensor& tensor, const std::string& name,
                        Copies& copies) {
    const std::string origin = path_.string();
    const detail::PickledStorage& storage = pickle.storages[tensor.storage];
    for (const auto* type : {tensor.type, storage.type}) {
      require(type->dtype.has_value(), "{}: tensor {}: dtype torch.{} isn't read", origin, name, type->name);
    }
    const auto numbers = [&](uint32_t sequence) {
      std::vector<int64_t> values;
      for (const auto& value : pickle.sequences[sequence]) values.push_back(value.integer);
      return values;
    };
    RawTensor raw{*tensor.type->dtype, numbers(tensor.sizes), {}};
    uint64_t size = 0;
    require(detail::bytes_of(raw.dtype, raw.shape, size), "{}: tensor {}: the size of shape [{}] overflows", origin, name,
            fmt::join(raw.shape, ", "));
    const Bytes data = storage_bytes(storage, name);
    if (size == 0) return raw;
    const std::vector<int64_t> strides = numbers(tensor.strides);
    const int64_t element = size_of(raw.dtype);
    const auto stored = static_cast<int64_t>(data.size()) / element;
    int64_t end = 0;
    require(end_of(tensor.offset, raw.shape, strides, end) && end <= stored,
            "{}: tensor {}: shape [{}], strides [{}] and offset {} reach beyond the {} elements of its data", origin, name,
            fmt::join(raw.shape, ", "), fmt::join(strides, ", "), tensor.offset, stored);
    const Bytes from = data.subspan(static_cast<size_t>(tensor.offset * element));
    if (is_contiguous(raw.shape, strides)) {
      raw.data = from.first(size);
      return raw;
    }
    require(size <= copies_left_,
            "{}: tensor {}: {} bytes with strides [{}], and all such tensors together are larger than the file by more than "
            "{} bytes; save it as tensor.contiguous()",
            origin, name, size, fmt::join(strides, ", "), kMoreCopies);
    copies_left_ -= size;
    const auto block = copies.add(size);
    gather(block.data(), from.data(), raw.shape, strides, element);
    raw.data = block;
    return raw;
  }

  /// The bytes of an entry; empty when there is none of that name.
  std::optional<Bytes> contents(const std::string& name) const {
    const auto entry = entries_.find(name);
    if (entry == entries_.end()) return std::nullopt;
    if (entry->second.method != 0) {
      fail("{}: zip entry {} is compressed (method {}), expected one that is stored, as torch.save writes; convert it: {}",
           path_.string(), detail::quoted_name(name), entry->second.method, conversion(path_.string()));
    }
    return entry->second.bytes;
  }

  Bytes storage_bytes(const detail::PickledStorage& storage, const std::string& name) const {
    const std::string origin = path_.string();
    constexpr size_t kMostBytes = 256;
    require(storage.key.size() <= kMostBytes, "{}: tensor {}: its data's key has {} bytes, the limit is {}", origin, name,
            storage.key.size(), kMostBytes);
    const std::string key = fmt::format("{}data/{}", folder_, storage.key);
    const auto data = contents(key);
    require(data.has_value(), "{}: tensor {}: its data {} aren't in the file", origin, name, detail::quoted_name(key));
    const auto element = static_cast<uint64_t>(size_of(*storage.type->dtype));
    require(data->size() / element == static_cast<uint64_t>(storage.numel),
            "{}: tensor {}: its data {} are {} bytes, expected {} elements of torch.{}", origin, name, detail::quoted_name(key),
            data->size(), storage.numel, storage.type->name);
    return *data;
  }

  detail::ZipEntries entries_;
  std::string folder_;  ///< with "/"
  uint64_t copies_left_ = 0;
};

}  // namespace

std::unique_ptr<TensorFile> open_torch_file(const std::filesystem::path& path) {
  auto map = MappedFile::open(path);
  const Bytes bytes = map->bytes();
  return std::make_unique<TorchFile>(bytes, path, std::move(map));
}

std::unique_ptr<TensorFile> parse_torch_file(std::span<const std::byte> bytes, const std::string& origin) {
  return std::make_unique<TorchFile>(bytes, origin, nullptr);
}

}  // namespace ocelli
