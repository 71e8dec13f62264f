#include "ocelli/base/tensor_file.h"

#include "ocelli/base/error.h"
#include "ocelli/base/safetensors_header.h"

namespace ocelli {

int64_t RawTensor::numel() const {
  int64_t product = 1;
  for (const int64_t dimension : shape) product *= dimension;
  return product;
}

const RawTensor* TensorFile::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const RawTensor& TensorFile::at(std::string_view name) const {
  const RawTensor* tensor = find(name);
  if (tensor == nullptr) fail("{}: no tensor named {}", path_.string(), detail::quoted_name(name));
  return *tensor;
}

uint64_t TensorFile::total_bytes() const {
  uint64_t sum = 0;
  for (const auto& [name, tensor] : tensors_) sum += tensor.data.size();
  return sum;
}

}  // namespace ocelli
