#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/dtype.h"

namespace ocelli {

/// A tensor as it lies in a file: little endian, C order.
struct RawTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
  int64_t numel() const;
};

/// Named raw tensors over read-only maps. Torch-free. Every size and offset was checked when it was opened.
class TensorFile {
 public:
  virtual ~TensorFile() = default;
  /// Names in ascending order.
  const std::map<std::string, RawTensor, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// nullptr when absent.
  const RawTensor* find(std::string_view name) const;
  /// Throws Error naming the file and the tensor when absent.
  const RawTensor& at(std::string_view name) const;
  /// Sum of all tensors' bytes.
  uint64_t total_bytes() const;
  /// What is shown in messages: the file, or the folder of the shards.
  const std::filesystem::path& path() const { return path_; }
  /// Holds the maps alive; a view that outlives the TensorFile keeps a copy of this.
  const std::shared_ptr<const void>& owner() const { return owner_; }

 protected:
  std::filesystem::path path_;
  std::map<std::string, RawTensor, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
  std::shared_ptr<const void> owner_;
};

/// One safetensors file. Throws Error on anything the format forbids: a header that is too large, truncated or no JSON
/// object, a name given twice, an unknown dtype, shape and bytes that differ, overlap, holes, trailing bytes.
/// Limits: header 100,000,000 bytes, 65,536 tensors.
std::unique_ptr<TensorFile> open_safetensors(const std::filesystem::path& path);

/// The same checks over bytes in memory (`origin` stands for the path in messages). The bytes must outlive the result.
std::unique_ptr<TensorFile> parse_safetensors(std::span<const std::byte> bytes, const std::string& origin);

/// One `.bin`, `.pt` or `.pth` file in the zip form that torch.save writes since torch 1.6. What it holds is flattened: a
/// tensor in dicts, lists and tuples is named by the keys and positions on its way, joined by dots ("blocks.0.weight"). While
/// all tensors lie in one entry of the outermost dict, and that is a dict named `model`, `module` or `state_dict`, this one is
/// taken in its place, so that its name doesn't appear. Everything that is no tensor is left out. Contiguous tensors, also
/// those that share bytes, are mapped as they lie in the file (torch aligns storages to 64 bytes, so whole ones are aligned);
/// others are copied in C order, together at most 16 MiB more than the file has.
/// The pickle inside is read by a closed list of rules (detail::read_pickle) and runs no code. Throws Error, naming the tensor,
/// entry or global where there is one, on: older forms (with the command that converts), TorchScript, compressed or overlapping
/// entries, any other global or opcode, a pickle that contains itself or nests deeper than 64, a name that isn't UTF-8, is
/// empty, longer than 4,096 bytes or given twice, keys of tensors that are no texts or integers, dtypes that DType doesn't
/// have, views that leave their storage. Limits: pickle 100,000,000 bytes, 65,536 tensors.
std::unique_ptr<TensorFile> open_torch_file(const std::filesystem::path& path);

/// The same checks over bytes in memory (`origin` stands for the path in messages). The bytes must outlive the result.
std::unique_ptr<TensorFile> parse_torch_file(std::span<const std::byte> bytes, const std::string& origin);

/// The weights of a model folder: the first that is there of `model.safetensors`, the shards named in
/// `model.safetensors.index.json`, `pytorch_model.bin`, the shards named in `pytorch_model.bin.index.json`, and the one file
/// `*.pth`. A shard is a plain name inside the folder; links lead only into the folder or the Hugging Face cache it belongs to.
std::unique_ptr<TensorFile> open_model_weights(const std::filesystem::path& folder);
/// Whether the folder has any of these; nothing is opened.
bool has_model_weights(const std::filesystem::path& folder);

/// Writes one safetensors file atomically. The header is padded so that the data area starts on a 64-byte boundary of the
/// file, and tensors are sorted by the power of two that divides their size in bytes (64 and above alike, then by name): each
/// tensor whose size is a multiple of 64 starts on a 64-byte boundary, as does the first of the rest. The others start
/// on a multiple of the power of two that divides their own size, so of their element size; aligning them further would need
/// padding between tensors, which the format forbids as holes. Throws Error when a tensor's bytes don't fit its shape.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, RawTensor, std::less<>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// Writes a model folder's weights: `model.safetensors`, or shards of at most `max_shard_bytes` with their index (a larger
/// tensor is a shard of its own). Names change only after all bytes are on the disk; weights of a previous
/// write that the new ones don't replace are then removed. Killed in between, the folder holds the old model, the new one, or
/// no index, which open_model_weights refuses; never a mixture.
void write_model_weights(const std::filesystem::path& folder, const std::map<std::string, RawTensor, std::less<>>& tensors,
                         uint64_t max_shard_bytes = 5ULL << 30);

}  // namespace ocelli
